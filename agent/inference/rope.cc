#include "agent/inference/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/base/status.h"

namespace skerry {
namespace {

// YaRN's attention temperature, as DeepSeek's code has it.
double Magnitude(double factor, double scale) {
  return factor <= 1 || scale == 0 ? 1 : 0.1 * scale * std::log(factor) + 1;
}

double ScaledByYarn(const YarnScaling& yarn, double base, size_t half, size_t i, double frequency) {
  const auto dim = static_cast<double>(2 * half);
  const auto corrected = [&](double rotations) {
    const auto original = static_cast<double>(yarn.original_positions);
    return dim * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(base));
  };
  const double low = std::max(std::floor(corrected(yarn.beta_fast)), 0.0);
  double high = std::min(std::ceil(corrected(yarn.beta_slow)), dim - 1);
  if (high == low) high += 0.001;  // as the published code does
  const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
  return frequency * (1 - ramp) + frequency / yarn.factor * ramp;
}

double ScaledByLlama3(const Llama3Scaling& llama, double frequency) {
  const double wave = 2 * std::numbers::pi / frequency;
  const auto original = static_cast<double>(llama.original_positions);
  if (wave < original / llama.high_frequency_factor) return frequency;
  if (wave > original / llama.low_frequency_factor) return frequency / llama.factor;
  const double share = (original / wave - llama.low_frequency_factor) /
                       (llama.high_frequency_factor - llama.low_frequency_factor);
  return (1 - share) * frequency / llama.factor + share * frequency;
}

}  // namespace

Rope::Rope(const LanguageModelConfig& config, int64_t dim, Pairs pairs)
    : half_(static_cast<size_t>(dim / 2)), pairs_(pairs) {
  for (size_t i = 0; i < half_; ++i) {
    double frequency =
        std::pow(config.rope_base, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
    if (const auto* yarn = std::get_if<YarnScaling>(&config.rope_scaling)) {
      frequency = ScaledByYarn(*yarn, config.rope_base, half_, i, frequency);
    } else if (const auto* llama = std::get_if<Llama3Scaling>(&config.rope_scaling)) {
      frequency = ScaledByLlama3(*llama, frequency);
    } else if (const auto* linear = std::get_if<LinearScaling>(&config.rope_scaling)) {
      frequency /= linear->factor;
    }
    frequencies_.push_back(frequency);
  }
  if (const auto* yarn = std::get_if<YarnScaling>(&config.rope_scaling)) {
    magnitude_ =
        Magnitude(yarn->factor, yarn->mscale) / Magnitude(yarn->factor, yarn->mscale_all_dim);
  }
}

void Rope::Extend(int64_t position) {
  for (size_t next = cosines_.size() / half_; next <= static_cast<size_t>(position); ++next) {
    for (const double frequency : frequencies_) {
      const double angle = static_cast<double>(next) * frequency;
      cosines_.push_back(static_cast<float>(std::cos(angle) * magnitude_));
      sines_.push_back(static_cast<float>(std::sin(angle) * magnitude_));
    }
  }
}

void Rope::Rotate(int64_t position, std::span<float> vectors) {
  SKERRY_ASSERT(position >= 0 && vectors.size() % (2 * half_) == 0);
  Extend(position);
  const float* const cosines = cosines_.data() + static_cast<size_t>(position) * half_;
  const float* const sines = sines_.data() + static_cast<size_t>(position) * half_;
  const size_t step = pairs_ == Pairs::kHalves ? 1 : 2;
  const size_t distance = pairs_ == Pairs::kHalves ? half_ : 1;
  for (size_t begin = 0; begin < vectors.size(); begin += 2 * half_) {
    for (size_t i = 0; i < half_; ++i) {
      float& first = vectors[begin + i * step];
      float& second = vectors[begin + i * step + distance];
      const float a = first;
      const float b = second;
      first = a * cosines[i] - b * sines[i];
      second = b * cosines[i] + a * sines[i];
    }
  }
}

double AttentionScale(const LanguageModelConfig& config) {
  if (const auto* grouped = std::get_if<GroupedAttentionConfig>(&config.attention)) {
    return 1 / std::sqrt(static_cast<double>(grouped->head_dim));
  }
  const auto& latent = std::get<LatentAttentionConfig>(config.attention);
  const double scale = 1 / std::sqrt(static_cast<double>(latent.plain_dim + latent.rope_dim));
  const auto* yarn = std::get_if<YarnScaling>(&config.rope_scaling);
  if (yarn == nullptr) return scale;
  const double magnitude = Magnitude(yarn->factor, yarn->mscale_all_dim);
  return scale * magnitude * magnitude;
}

}  // namespace skerry
