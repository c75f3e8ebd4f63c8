// The job's optimiser as torch::optim's, for devices whose memory FusedOptimizer cannot reach, and
// what FusedOptimizer is tested against. Includes LibTorch.
#pragma once

#include <memory>
#include <vector>

#include <torch/torch.h>

#include "common/config/job_config.h"

namespace skerry {

std::unique_ptr<torch::optim::Optimizer> MakeTorchOptimizer(
    const OptimizerConfig& config, const std::vector<at::Tensor>& parameters);

}  // namespace skerry
