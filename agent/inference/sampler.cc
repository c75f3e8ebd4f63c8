#include "agent/inference/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

namespace skerry {

absl::Status SamplingOptions::Validate() const {
  if (!(temperature >= 0 && temperature <= 100)) {
    return absl::InvalidArgumentError(
        fmt::format("temperature must be 0..100, got {}", temperature));
  }
  if (top_k < 0) {
    return absl::InvalidArgumentError(fmt::format("top_k must be 0 or more, got {}", top_k));
  }
  if (!(top_p > 0 && top_p <= 1)) {
    return absl::InvalidArgumentError(
        fmt::format("top_p must be above 0 and at most 1, got {}", top_p));
  }
  return absl::OkStatus();
}

int64_t Sampler::Choose(std::span<const float> logits) {
  const auto most = std::max_element(logits.begin(), logits.end());
  if (options_.temperature == 0) return most - logits.begin();

  order_.resize(logits.size());
  std::iota(order_.begin(), order_.end(), size_t{0});
  const auto is_before = [&](size_t a, size_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  };
  const size_t kept = options_.top_k == 0
                          ? order_.size()
                          : std::min(order_.size(), static_cast<size_t>(options_.top_k));
  std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(kept),
                    order_.end(), is_before);
  order_.resize(kept);
  shares_.resize(kept);
  double sum = 0;
  for (size_t i = 0; i < kept; ++i) {
    const double below = static_cast<double>(logits[order_[i]]) - static_cast<double>(*most);
    sum += shares_[i] = std::exp(below / options_.temperature);
  }
  // The nucleus: up to and with the token that reaches the share (Holtzman et al. 2020).
  double nucleus = 0;
  size_t count = 0;
  while (count < kept && nucleus < options_.top_p * sum) nucleus += shares_[count++];
  double left = rng_.Uniform() * nucleus;
  for (size_t i = 0; i + 1 < count; ++i) {
    left -= shares_[i];
    if (left < 0) return static_cast<int64_t>(order_[i]);
  }
  return static_cast<int64_t>(order_[count - 1]);
}

}  // namespace skerry
