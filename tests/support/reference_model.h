// A model built from torch::nn modules, independent of common/ml's own forward pass: what that is
// tested against. Includes LibTorch.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <torch/torch.h>

#include "common/config/job_config.h"
#include "common/tensor/parameter_vector.h"

namespace skerry {

// In training mode. Its parameters() are in the layout's order.
torch::nn::Sequential ReferenceModule(const ModelConfig& model);

void LoadReference(torch::nn::Sequential& module, std::span<const float> values);
std::vector<float> ReferenceValues(const torch::nn::Sequential& module);

// The mean loss, in torch::nn::functional.
at::Tensor ReferenceLoss(LossName loss, const at::Tensor& output, const at::Tensor& labels);

// The job's optimiser from torch::optim.
std::unique_ptr<torch::optim::Optimizer> ReferenceOptimizer(const OptimizerConfig& config,
                                                            torch::nn::Sequential& module);

}  // namespace skerry
