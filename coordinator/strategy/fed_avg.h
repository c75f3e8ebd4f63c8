// Federated averaging: w += lr D, with lr = 1 the mean of the nodes' models (McMahan et al. 2017,
// "Communication-Efficient Learning of Deep Networks from Decentralized Data", Algorithm 1).
// FedProx (Li et al. 2020, "Federated Optimization in Heterogeneous Networks", Algorithm 2) differs
// in the nodes' loss only, so the server's half is this one.
#pragma once

#include "coordinator/strategy/strategy.h"

namespace skerry {

class FedAvg final : public Strategy {
 public:
  explicit FedAvg(double learning_rate) : learning_rate_(static_cast<float>(learning_rate)) {}
  std::vector<std::string> moments() const override { return {}; }

 private:
  void Step(std::span<float> model, std::span<const float> update,
            std::span<const std::span<float>> moments) const override;
  float learning_rate_;
};

}  // namespace skerry
