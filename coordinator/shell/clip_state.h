// An adaptive clip norm in a checkpoint's state file: one more tensor, `privacy/clip_norm`, behind
// the strategy's moments. Pure.
#pragma once

#include "absl/status/statusor.h"
#include "common/tensor/parameter_vector.h"
#include "coordinator/strategy/strategy.h"

namespace skerry {

struct ClipState {
  StrategyState strategy;
  float clip_norm = 0;
};

// `moments` is what the strategy keeps, null if nothing. Fails as ParameterLayout::Create does.
absl::StatusOr<ParameterLayoutPtr> ClipStateLayout(const ParameterLayoutPtr& moments);

// A vector of `layout`, which is ClipStateLayout of the strategy's.
ParameterVector JoinClipState(const ParameterLayoutPtr& layout, const StrategyState& strategy,
                              float clip_norm);
// The same, undone.
ClipState SplitClipState(const ParameterVector& joined, const ParameterLayoutPtr& moments);

}  // namespace skerry
