#include "coordinator/shell/clip_state.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"

namespace skerry {

absl::StatusOr<ParameterLayoutPtr> ClipStateLayout(const ParameterLayoutPtr& moments) {
  std::vector<TensorShape> tensors;
  if (moments != nullptr) tensors = moments->tensors();
  tensors.push_back({.name = "privacy/clip_norm", .sizes = {1}});
  return ParameterLayout::Create(std::move(tensors));
}

ParameterVector JoinClipState(const ParameterLayoutPtr& layout, const StrategyState& strategy,
                              float clip_norm) {
  ParameterVector joined(layout);
  const std::span<float> values = joined.values();
  if (strategy.has_value()) std::ranges::copy(strategy->values(), values.begin());
  values.back() = clip_norm;
  return joined;
}

ClipState SplitClipState(const ParameterVector& joined, const ParameterLayoutPtr& moments) {
  const std::span<const float> values = joined.values();
  ClipState state{.strategy = std::nullopt, .clip_norm = values.back()};
  if (moments != nullptr) {
    SKERRY_ASSERT(values.size() == moments->element_count() + 1);
    state.strategy.emplace(moments);
    std::ranges::copy(values.first(values.size() - 1), state.strategy->values().begin());
  }
  return state;
}

}  // namespace skerry
