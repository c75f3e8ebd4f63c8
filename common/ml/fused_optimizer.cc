#include "common/ml/fused_optimizer.h"

#include <algorithm>
#include <cmath>

#include "common/base/status.h"

namespace skerry {

FusedOptimizer::FusedOptimizer(const OptimizerConfig& config, double mu, size_t parameter_count)
    : config_(config), mu_(static_cast<float>(mu)) {
  const bool is_adam = config.name != OptimizerName::kSgd;
  if (is_adam || config.momentum != 0.0) first_.resize(parameter_count);
  if (is_adam) second_.resize(parameter_count);
}

void FusedOptimizer::Reset() {
  step_ = 0;
  std::fill(first_.begin(), first_.end(), 0.0f);
  std::fill(second_.begin(), second_.end(), 0.0f);
}

void FusedOptimizer::BeginStep() {
  ++step_;
  if (config_.name == OptimizerName::kSgd) return;
  const auto t = static_cast<double>(step_);
  const double first_correction = 1.0 - std::pow(config_.beta1, t);
  step_size_ = static_cast<float>(config_.learning_rate / first_correction);
  second_correction_ = static_cast<float>(std::sqrt(1.0 - std::pow(config_.beta2, t)));
}

void FusedOptimizer::Update(const ParameterPart& part) {
  SKERRY_ASSERT(part.gradient.size() == part.weights.size());
  SKERRY_ASSERT(mu_ == 0.0f || part.anchor.size() == part.weights.size());
  SKERRY_ASSERT(first_.empty() || part.offset + part.weights.size() <= first_.size());
  if (config_.name == OptimizerName::kSgd) {
    mu_ == 0.0f ? UpdateSgd<false>(part) : UpdateSgd<true>(part);
  } else {
    mu_ == 0.0f ? UpdateAdam<false>(part) : UpdateAdam<true>(part);
  }
}

template <bool has_anchor>
void FusedOptimizer::UpdateSgd(const ParameterPart& part) {
  const size_t count = part.weights.size();
  float* __restrict__ w = part.weights.data();
  const float* __restrict__ g = part.gradient.data();
  const float* __restrict__ anchor = part.anchor.data();
  const auto rate = static_cast<float>(config_.learning_rate);
  const auto decay = static_cast<float>(config_.weight_decay);
  const auto momentum = static_cast<float>(config_.momentum);
  const float mu = mu_;
  const auto gradient = [=](size_t i) {
    float value = g[i];
    if constexpr (has_anchor) value += mu * (w[i] - anchor[i]);
    return value + decay * w[i];
  };
  if (first_.empty()) {
    for (size_t i = 0; i < count; ++i) w[i] -= rate * gradient(i);
    return;
  }
  float* __restrict__ velocity = first_.data() + part.offset;
  for (size_t i = 0; i < count; ++i) {
    velocity[i] = momentum * velocity[i] + gradient(i);
    w[i] -= rate * velocity[i];
  }
}

template <bool has_anchor>
void FusedOptimizer::UpdateAdam(const ParameterPart& part) {
  const size_t count = part.weights.size();
  float* __restrict__ w = part.weights.data();
  const float* __restrict__ g = part.gradient.data();
  const float* __restrict__ anchor = part.anchor.data();
  float* __restrict__ first = first_.data() + part.offset;
  float* __restrict__ second = second_.data() + part.offset;
  const bool is_decoupled = config_.name == OptimizerName::kAdamW;
  // Adam adds the decay to the gradient, AdamW shrinks the weights apart from it.
  const auto decay = static_cast<float>(is_decoupled ? 0.0 : config_.weight_decay);
  const auto keep =
      static_cast<float>(is_decoupled ? 1.0 - config_.learning_rate * config_.weight_decay : 1.0);
  const auto beta1 = static_cast<float>(config_.beta1);
  const auto beta2 = static_cast<float>(config_.beta2);
  const auto beta1_rest = static_cast<float>(1.0 - config_.beta1);
  const auto beta2_rest = static_cast<float>(1.0 - config_.beta2);
  const auto epsilon = static_cast<float>(config_.epsilon);
  const float mu = mu_;
  const float step_size = step_size_;
  const float correction = second_correction_;
  for (size_t i = 0; i < count; ++i) {
    float gradient = g[i];
    if constexpr (has_anchor) gradient += mu * (w[i] - anchor[i]);
    gradient += decay * w[i];
    first[i] = beta1 * first[i] + beta1_rest * gradient;
    second[i] = beta2 * second[i] + beta2_rest * gradient * gradient;
    w[i] = keep * w[i] - step_size * first[i] / (std::sqrt(second[i]) / correction + epsilon);
  }
}

}  // namespace skerry
