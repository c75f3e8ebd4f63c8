// Federated averaging with server momentum (Hsu, Qi and Brown 2019, "Measuring the Effects of
// Non-Identical Data Distribution for Federated Visual Classification", section 4.3):
//   v = beta v + D,  w += lr v.
#pragma once

#include "coordinator/strategy/strategy.h"

namespace skerry {

class FedAvgM final : public Strategy {
 public:
  FedAvgM(double learning_rate, double beta)
      : learning_rate_(static_cast<float>(learning_rate)), beta_(static_cast<float>(beta)) {}
  std::vector<std::string> moments() const override { return {"v"}; }

 private:
  void Step(std::span<float> model, std::span<const float> update,
            std::span<const std::span<float>> moments) const override;
  float learning_rate_;
  float beta_;
};

}  // namespace skerry
