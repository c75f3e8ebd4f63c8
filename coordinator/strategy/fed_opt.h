// Adaptive server optimisers (Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2):
//   m = beta1 m + (1 - beta1) D
//   v = v + D^2                                      FedAdagrad
//   v = v - (1 - beta2) D^2 sign(v - D^2)            FedYogi
//   v = beta2 v + (1 - beta2) D^2                    FedAdam
//   w = w + lr m / (sqrt(v) + tau)
// As there: no bias correction, m starts at 0 and v at tau^2.
#pragma once

#include "coordinator/strategy/strategy.h"

namespace skerry {

enum class SecondMoment { kAdagrad, kYogi, kAdam };

class FedOpt final : public Strategy {
 public:
  FedOpt(SecondMoment rule, const StrategyConfig& config)
      : rule_(rule),
        learning_rate_(static_cast<float>(config.learning_rate)),
        beta1_(static_cast<float>(config.beta1)),
        beta2_(static_cast<float>(config.beta2)),
        tau_(static_cast<float>(config.tau)) {}
  std::vector<std::string> moments() const override { return {"m", "v"}; }

 private:
  void Step(std::span<float> model, std::span<const float> update,
            std::span<const std::span<float>> moments) const override;
  float InitialValue(size_t moment_index) const override;

  SecondMoment rule_;
  float learning_rate_;
  float beta1_;
  float beta2_;
  float tau_;
};

}  // namespace skerry
