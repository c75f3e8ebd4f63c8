#include "coordinator/strategy/fed_avg_m.h"

namespace skerry {

void FedAvgM::Step(std::span<float> model, std::span<const float> update,
                   std::span<const std::span<float>> moments) const {
  float* __restrict w = model.data();
  const float* __restrict delta = update.data();
  float* __restrict v = moments[0].data();
  for (size_t i = 0; i < model.size(); ++i) {
    v[i] = beta_ * v[i] + delta[i];
    w[i] += learning_rate_ * v[i];
  }
}

}  // namespace skerry
