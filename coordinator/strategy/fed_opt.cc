#include "coordinator/strategy/fed_opt.h"

#include <cmath>

namespace skerry {

float FedOpt::InitialValue(size_t moment_index) const {
  return moment_index == 0 ? 0.0f : tau_ * tau_;
}

void FedOpt::Step(std::span<float> model, std::span<const float> update,
                  std::span<const std::span<float>> moments) const {
  float* __restrict w = model.data();
  const float* __restrict delta = update.data();
  float* __restrict m = moments[0].data();
  float* __restrict v = moments[1].data();
  // Local copies, so that the compiler need not fear that a store changes them.
  const float lr = learning_rate_, beta1 = beta1_, beta2 = beta2_, tau = tau_;
  const auto each = [&](auto next_v) {
    for (size_t i = 0; i < model.size(); ++i) {
      m[i] = beta1 * m[i] + (1.0f - beta1) * delta[i];
      v[i] = next_v(v[i], delta[i] * delta[i]);
      w[i] += lr * m[i] / (std::sqrt(v[i]) + tau);
    }
  };
  switch (rule_) {
    case SecondMoment::kAdagrad:
      return each([](float v_i, float square) { return v_i + square; });
    case SecondMoment::kYogi:
      return each([beta2](float v_i, float square) {
        const float difference = v_i - square;
        const float sign = static_cast<float>(difference > 0) - static_cast<float>(difference < 0);
        return v_i - (1.0f - beta2) * square * sign;
      });
    case SecondMoment::kAdam:
      return each(
          [beta2](float v_i, float square) { return beta2 * v_i + (1.0f - beta2) * square; });
  }
}

}  // namespace skerry
