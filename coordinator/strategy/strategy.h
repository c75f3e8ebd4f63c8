// How the mean update of a round changes the global model: the server's optimiser. Pure functions
// of vectors: no I/O, no randomness, no time. One Strategy serves a whole run; any thread, as long
// as each model and state belongs to one caller.
//
// Symbols below: w the model, D the mean of the nodes' updates (model after training minus model
// before), lr = strategy.learning_rate.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/tensor/parameter_vector.h"

namespace skerry {

// The moments a strategy keeps from round to round: "m" of the whole model, then "v", as one vector
// whose layout names each tensor "m/conv1.weight". So a state is written and read like a model
// (safetensors), and reading it with StateLayout proves names, shapes and order. Empty: none kept.
using StrategyState = std::optional<ParameterVector>;

class Strategy {
 public:
  virtual ~Strategy() = default;

  // Names of the moments, in the order they lie in the state.
  virtual std::vector<std::string> moments() const = 0;

  // Before the first round. Fails with kInvalidArgument if a tensor's name leaves no room for the
  // moment's prefix.
  absl::StatusOr<StrategyState> InitialState(const ParameterLayoutPtr& model) const;

  // The layout a stored state must have; null if the strategy keeps none.
  absl::StatusOr<ParameterLayoutPtr> StateLayout(const ParameterLayoutPtr& model) const;

  // Fails with kInvalidArgument, saying what differs, unless `state` is one this strategy could
  // have written for `model`: the job file may have changed since.
  absl::Status ValidateState(const ParameterLayoutPtr& model, const StrategyState& state) const;

  // Changes `model` and `state` in place, so a round needs no second copy of either. `update` has
  // the model's length; `state` passed ValidateState.
  void Apply(std::span<float> model, std::span<const float> update, StrategyState& state) const;

 private:
  // `moments`: one span of the model's length for each of moments().
  virtual void Step(std::span<float> model, std::span<const float> update,
                    std::span<const std::span<float>> moments) const = 0;
  virtual float InitialValue(size_t moment_index) const;
};

// The strategy a job names. `config` is that of a valid job.
std::unique_ptr<const Strategy> MakeStrategy(const StrategyConfig& config);

}  // namespace skerry
