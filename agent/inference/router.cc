#include "agent/inference/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/base/status.h"

namespace skerry {
namespace {

constexpr float kDropped = -std::numeric_limits<float>::infinity();

std::vector<float> Scores(Scoring scoring, std::span<const float> logits) {
  std::vector<float> scores(logits.begin(), logits.end());
  if (scoring == Scoring::kSigmoid) {
    for (float& score : scores) score = 1 / (1 + std::exp(-score));
    return scores;
  }
  const float most = *std::max_element(scores.begin(), scores.end());
  float sum = 0;
  for (float& score : scores) sum += score = std::exp(score - most);
  for (float& score : scores) score /= sum;
  return scores;
}

// The `count` largest, by number.
std::vector<size_t> Best(std::span<const float> scores, size_t count) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(order.begin(), end, order.end(), [&](size_t a, size_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  order.resize(count);
  std::sort(order.begin(), order.end());
  return order;
}

// A group counts its best expert; with a bias the sum of its two best.
float GroupScore(Routing routing, std::span<const float> scores) {
  if (routing == Routing::kGroupLimitedGreedy) {
    return *std::max_element(scores.begin(), scores.end());
  }
  float first = kDropped;
  float second = kDropped;
  for (const float score : scores) {
    if (score > first) {
      second = first;
      first = score;
    } else if (score > second) {
      second = score;
    }
  }
  return first + second;
}

void DropGroups(const ExpertConfig& config, std::vector<float>& choosing) {
  const auto group_count = static_cast<size_t>(config.group_count);
  const size_t size = choosing.size() / group_count;
  std::vector<float> groups(group_count);
  for (size_t group = 0; group < group_count; ++group) {
    groups[group] = GroupScore(config.routing, std::span(choosing).subspan(group * size, size));
  }
  const std::vector<size_t> kept = Best(groups, static_cast<size_t>(config.groups_kept));
  for (size_t group = 0; group < group_count; ++group) {
    if (std::binary_search(kept.begin(), kept.end(), group)) continue;
    std::fill_n(choosing.begin() + static_cast<std::ptrdiff_t>(group * size), size, kDropped);
  }
}

}  // namespace

std::vector<RoutedExpert> RouteToExperts(const ExpertConfig& config, std::span<const float> logits,
                                         std::span<const float> bias) {
  SKERRY_ASSERT(logits.size() == static_cast<size_t>(config.count));
  const std::vector<float> scores = Scores(config.scoring, logits);
  std::vector<float> choosing = scores;
  for (size_t i = 0; i < bias.size(); ++i) choosing[i] += bias[i];
  if (config.routing != Routing::kGreedy) DropGroups(config, choosing);

  std::vector<RoutedExpert> routed;
  float sum = 0;
  for (const size_t expert : Best(choosing, static_cast<size_t>(config.per_token))) {
    routed.push_back({expert, scores[expert]});
    sum += scores[expert];
  }
  const bool normalizes = config.normalizes && config.per_token > 1;
  // DeepSeek-V2's code scales what it does not normalise; V3's does both.
  const bool scales = !normalizes || config.routing == Routing::kNoAuxTc;
  for (RoutedExpert& one : routed) {
    if (normalizes) one.weight /= sum + 1e-20f;
    if (scales) one.weight *= static_cast<float>(config.scale);
  }
  return routed;
}

}  // namespace skerry
