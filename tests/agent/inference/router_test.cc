// Expert choices against routers that follow the published descriptions word for word, slowly.
#include "agent/inference/router.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "common/base/rng.h"

namespace skerry {
namespace {

// Tries every set of `kept` groups for the one whose scores sum to the most, then every expert in
// it.
std::vector<size_t> SlowChoice(const std::vector<double>& scores, size_t group_count, size_t kept,
                               size_t per_token, bool sums_two) {
  const size_t size = scores.size() / group_count;
  std::vector<double> group_scores;
  for (size_t group = 0; group < group_count; ++group) {
    std::multiset<double> members(scores.begin() + static_cast<long>(group * size),
                                  scores.begin() + static_cast<long>((group + 1) * size));
    group_scores.push_back(*members.rbegin() + (sums_two ? *std::next(members.rbegin()) : 0.0));
  }
  double best = -1e300;
  uint32_t chosen = 0;
  for (uint32_t set = 0; set < 1u << group_count; ++set) {
    if (static_cast<size_t>(std::popcount(set)) != kept) continue;
    double sum = 0;
    for (size_t group = 0; group < group_count; ++group) {
      if ((set >> group & 1u) != 0) sum += group_scores[group];
    }
    if (sum > best) {
      best = sum;
      chosen = set;
    }
  }
  std::vector<std::pair<double, size_t>> candidates;
  for (size_t i = 0; i < scores.size(); ++i) {
    if ((chosen >> i / size & 1u) != 0) candidates.emplace_back(-scores[i], i);
  }
  std::sort(candidates.begin(), candidates.end());
  std::vector<size_t> experts;
  for (size_t i = 0; i < per_token; ++i) experts.push_back(candidates[i].second);
  std::sort(experts.begin(), experts.end());
  return experts;
}

std::vector<float> Draw(Rng& rng, size_t count, float range) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.Uniform() * 2 - 1) * range;
  return values;
}

struct Shape {
  int64_t count;
  int64_t groups;
  int64_t kept;
  int64_t per_token;
};
constexpr Shape kShapes[] = {{16, 4, 2, 4}, {64, 8, 3, 6}, {12, 3, 1, 2}, {8, 4, 4, 8}};

TEST(RouterTest, GroupLimitedGreedyIsTheBestSetOfGroupsAndTheBestExpertsInIt) {
  Rng rng(5);
  for (const Shape& shape : kShapes) {
    for (const bool normalizes : {false, true}) {
      const ExpertConfig config = {.count = shape.count,
                                   .per_token = shape.per_token,
                                   .group_count = shape.groups,
                                   .groups_kept = shape.kept,
                                   .scoring = Scoring::kSoftmax,
                                   .routing = Routing::kGroupLimitedGreedy,
                                   .normalizes = normalizes,
                                   .scale = 16};
      for (int i = 0; i < 300; ++i) {
        const std::vector<float> logits = Draw(rng, static_cast<size_t>(shape.count), 4);
        std::vector<double> scores(logits.begin(), logits.end());
        double sum = 0;
        for (double& score : scores) sum += score = std::exp(score);
        for (double& score : scores) score /= sum;
        const std::vector<size_t> expected =
            SlowChoice(scores, static_cast<size_t>(shape.groups), static_cast<size_t>(shape.kept),
                       static_cast<size_t>(shape.per_token), false);
        double chosen_sum = 0;
        for (const size_t expert : expected) chosen_sum += scores[expert];

        const std::vector<RoutedExpert> routed = RouteToExperts(config, logits, {});

        ASSERT_EQ(routed.size(), expected.size());
        for (size_t k = 0; k < routed.size(); ++k) {
          ASSERT_EQ(routed[k].expert, expected[k]);
          // DeepSeek-V2's code scales only what it does not normalise.
          const double weight =
              normalizes ? scores[expected[k]] / chosen_sum : scores[expected[k]] * 16;
          ASSERT_NEAR(routed[k].weight, weight, 1e-5);
        }
      }
    }
  }
}

TEST(RouterTest, TheBiasChoosesButDoesNotWeigh) {
  Rng rng(6);
  for (const Shape& shape : kShapes) {
    const ExpertConfig config = {.count = shape.count,
                                 .per_token = shape.per_token,
                                 .group_count = shape.groups,
                                 .groups_kept = shape.kept,
                                 .scoring = Scoring::kSigmoid,
                                 .routing = Routing::kNoAuxTc,
                                 .normalizes = true,
                                 .scale = 2.5};
    for (int i = 0; i < 300; ++i) {
      const std::vector<float> logits = Draw(rng, static_cast<size_t>(shape.count), 3);
      const std::vector<float> bias = Draw(rng, static_cast<size_t>(shape.count), 0.5f);
      std::vector<double> scores;
      std::vector<double> biased;
      for (size_t k = 0; k < logits.size(); ++k) {
        scores.push_back(1 / (1 + std::exp(-static_cast<double>(logits[k]))));
        biased.push_back(scores[k] + static_cast<double>(bias[k]));
      }
      const std::vector<size_t> expected =
          SlowChoice(biased, static_cast<size_t>(shape.groups), static_cast<size_t>(shape.kept),
                     static_cast<size_t>(shape.per_token), true);
      double chosen_sum = 0;
      for (const size_t expert : expected) chosen_sum += scores[expert];

      const std::vector<RoutedExpert> routed = RouteToExperts(config, logits, bias);

      ASSERT_EQ(routed.size(), expected.size());
      for (size_t k = 0; k < routed.size(); ++k) {
        ASSERT_EQ(routed[k].expert, expected[k]);
        ASSERT_NEAR(routed[k].weight, 2.5 * scores[expected[k]] / chosen_sum, 1e-5);
      }
    }
  }
}

TEST(RouterTest, OfEqualScoresTheLowerNumberIsTaken) {
  const ExpertConfig config = {.count = 6, .per_token = 2};
  const std::vector<RoutedExpert> routed = RouteToExperts(config, std::vector<float>(6, 0.5f), {});
  ASSERT_EQ(routed.size(), 2u);
  EXPECT_EQ(routed[0].expert, 0u);
  EXPECT_EQ(routed[1].expert, 1u);
}

}  // namespace
}  // namespace skerry
