#include "common/ml/torch_optimizer.h"

#include <tuple>

#include "common/base/status.h"

namespace skerry {

std::unique_ptr<torch::optim::Optimizer> MakeTorchOptimizer(
    const OptimizerConfig& config, const std::vector<at::Tensor>& parameters) {
  switch (config.name) {
    case OptimizerName::kSgd:
      return std::make_unique<torch::optim::SGD>(parameters,
                                                 torch::optim::SGDOptions(config.learning_rate)
                                                     .momentum(config.momentum)
                                                     .weight_decay(config.weight_decay));
    case OptimizerName::kAdam:
      return std::make_unique<torch::optim::Adam>(
          parameters, torch::optim::AdamOptions(config.learning_rate)
                          .betas(std::make_tuple(config.beta1, config.beta2))
                          .eps(config.epsilon)
                          .weight_decay(config.weight_decay));
    case OptimizerName::kAdamW:
      return std::make_unique<torch::optim::AdamW>(
          parameters, torch::optim::AdamWOptions(config.learning_rate)
                          .betas(std::make_tuple(config.beta1, config.beta2))
                          .eps(config.epsilon)
                          .weight_decay(config.weight_decay));
  }
  SKERRY_ASSERT(false);
}

}  // namespace skerry
