// Optimiser steps on plain memory: SGD with momentum, Adam (Kingma and Ba 2015) and AdamW
// (Loshchilov and Hutter 2019), with the arithmetic of torch::optim, each in one pass over the
// parameters. torch::optim walks memory three to twelve times for the same result, a fifth of a
// training step of the built-in `cnn`.
//
// Owned by one worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/config/job_config.h"

namespace skerry {

// Part of all parameters, beginning at `offset` in the optimiser's state.
struct ParameterPart {
  size_t offset = 0;
  std::span<float> weights;
  std::span<const float> gradient;
  std::span<const float> anchor;  // the proximal term's centre; unused if mu is 0
};

class FusedOptimizer {
 public:
  // `mu` adds mu x (weights - anchor) to the gradient (FedProx, Li et al. 2020); 0: none.
  FusedOptimizer(const OptimizerConfig& config, double mu, size_t parameter_count);

  // Forgets momentum and moments.
  void Reset();
  // One step of training is BeginStep and then Update for each part.
  void BeginStep();
  void Update(const ParameterPart& part);

 private:
  template <bool has_anchor>
  void UpdateSgd(const ParameterPart& part);
  template <bool has_anchor>
  void UpdateAdam(const ParameterPart& part);

  OptimizerConfig config_;
  float mu_;
  std::vector<float> first_;   // momentum or first moment; empty if not needed
  std::vector<float> second_;  // second moment; empty if not needed
  int64_t step_ = 0;
  float step_size_ = 0;          // of Adam in this step
  float second_correction_ = 0;  // sqrt(1 - beta2^t)
};

}  // namespace skerry
