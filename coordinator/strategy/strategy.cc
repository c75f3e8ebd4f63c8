#include "coordinator/strategy/strategy.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {

float Strategy::InitialValue(size_t) const { return 0.0f; }

absl::StatusOr<ParameterLayoutPtr> Strategy::StateLayout(const ParameterLayoutPtr& model) const {
  const std::vector<std::string> names = moments();
  if (names.empty()) return ParameterLayoutPtr();
  std::vector<TensorShape> tensors;
  tensors.reserve(names.size() * model->tensors().size());
  for (const std::string& moment : names) {
    for (const TensorShape& tensor : model->tensors()) {
      tensors.push_back({fmt::format("{}/{}", moment, tensor.name), tensor.sizes});
    }
  }
  return ParameterLayout::Create(std::move(tensors));
}

absl::StatusOr<StrategyState> Strategy::InitialState(const ParameterLayoutPtr& model) const {
  SKERRY_ASSIGN_OR_RETURN(const ParameterLayoutPtr layout, StateLayout(model));
  if (layout == nullptr) return StrategyState();
  ParameterVector state(layout);
  const size_t length = model->element_count();
  for (size_t i = 0; i * length < state.size(); ++i) {
    const std::span<float> moment = state.values().subspan(i * length, length);
    std::fill(moment.begin(), moment.end(), InitialValue(i));
  }
  return StrategyState(std::move(state));
}

absl::Status Strategy::ValidateState(const ParameterLayoutPtr& model,
                                     const StrategyState& state) const {
  SKERRY_ASSIGN_OR_RETURN(const ParameterLayoutPtr expected, StateLayout(model));
  if ((expected == nullptr) != !state.has_value()) {
    return absl::InvalidArgumentError(
        state ? "there is a stored strategy state, but the job's strategy keeps none; resume with "
                "the strategy the run was started with"
              : "the job's strategy needs its stored state and there is none; resume with the "
                "strategy the run was started with");
  }
  if (expected != nullptr && !(*expected == *state->layout())) {
    return absl::InvalidArgumentError(fmt::format(
        "the stored strategy state has {} tensors and {} values in an order, with names or shapes "
        "other than the {} tensors and {} values this job's strategy keeps",
        state->layout()->tensors().size(), state->size(), expected->tensors().size(),
        expected->element_count()));
  }
  return absl::OkStatus();
}

void Strategy::Apply(std::span<float> model, std::span<const float> update,
                     StrategyState& state) const {
  SKERRY_ASSERT(model.size() == update.size());
  std::vector<std::span<float>> parts;
  const size_t count = moments().size();
  SKERRY_ASSERT((state ? state->size() : 0) == count * model.size());
  for (size_t i = 0; i < count; ++i) {
    parts.push_back(state->values().subspan(i * model.size(), model.size()));
  }
  Step(model, update, parts);
}

}  // namespace skerry
