#include "coordinator/strategy/fed_avg.h"

namespace skerry {

void FedAvg::Step(std::span<float> model, std::span<const float> update,
                  std::span<const std::span<float>>) const {
  float* __restrict w = model.data();
  const float* __restrict delta = update.data();
  for (size_t i = 0; i < model.size(); ++i) w[i] += learning_rate_ * delta[i];
}

}  // namespace skerry
