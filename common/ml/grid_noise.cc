#include "common/ml/grid_noise.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/privacy/random_words.h"

namespace skerry {
namespace {

// Noise is drawn for so many coordinates at once and is gone afterwards; 32 KiB.
constexpr size_t kTile = 4096;
constexpr double kRoundedMax = 0x1p62;

// The integer below or above; the mean over the coins is `value`, to 2^-53.
int64_t RoundAtRandom(double value, RandomWords& coins) {
  const double below = std::floor(value);
  const double coin = static_cast<double>(coins.Next() >> 11) * 0x1p-53;
  return static_cast<int64_t>(below) + (coin < value - below ? 1 : 0);
}

}  // namespace

absl::StatusOr<GridNoise> GridNoise::Create(const GridNoiseOptions& options) {
  const double clip = options.clip_norm;
  const double multiplier = options.noise_multiplier;
  const auto is_positive = [](double value) { return value > 0.0 && std::isfinite(value); };
  if (!is_positive(clip) || !is_positive(multiplier) || options.dimension == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "clip norm, noise multiplier and number of parameters must be positive, got {}, {} and {}",
        clip, multiplier, options.dimension));
  }
  const double rounding = std::sqrt(static_cast<double>(options.dimension));
  const auto sigma_with = [&](int bits) {
    return multiplier * (std::ldexp(clip, bits) + rounding);
  };
  // The coarsest grid that is fine enough, and from the finest one down the first that is coarse
  // enough.
  const auto bits_min = static_cast<int>(std::ceil(std::log2(kRoundingShareMin * rounding / clip)));
  int bits = kScaleBitsMax;
  while (bits >= bits_min &&
         (std::ldexp(clip, bits) > kClippedMax || sigma_with(bits) > NoiseVariance::kSigmaMax)) {
    --bits;
  }
  if (bits < bits_min) {
    return absl::InvalidArgumentError(fmt::format(
        "privacy.clip_norm {} takes a grid of 2^-{} if the rounding error of {} parameters is to "
        "stay below 1/{:.0f} of it, and noise with multiplier {} has a standard deviation of "
        "{:.4g} "
        "steps there; a grid may be 2^-{} at the finest and the noise {:.0f} steps: raise "
        "privacy.clip_norm or epsilon, or take a smaller model",
        clip, bits_min, options.dimension, kRoundingShareMin, multiplier, sigma_with(bits_min),
        kScaleBitsMax, NoiseVariance::kSigmaMax));
  }
  SKERRY_ASSIGN_OR_RETURN(const NoiseVariance variance, NoiseVariance::AtLeast(sigma_with(bits)));
  SKERRY_ASSIGN_OR_RETURN(DiscreteGaussian noise, DiscreteGaussian::Create(variance));
  return GridNoise(bits, std::move(noise));
}

absl::Status GridNoise::Release(std::span<const double> sum, double divisor, RandomBits& random,
                                std::span<float> out) const {
  SKERRY_ASSERT(sum.size() == out.size() && divisor > 0.0);
  std::array<int64_t, kTile> tile;
  RandomWords coins(random);
  const double scale = std::ldexp(1.0, scale_bits_);
  for (size_t begin = 0; begin < sum.size(); begin += kTile) {
    const auto part = sum.subspan(begin, std::min(kTile, sum.size() - begin));
    const std::span noise = std::span(tile).first(part.size());
    noise_.Fill(noise, random);
    for (size_t i = 0; i < part.size(); ++i) {
      const double steps = part[i] * scale;  // exact
      // A comparison with NaN is false.
      if (!(std::fabs(steps) <= kRoundedMax)) {
        return absl::OutOfRangeError(
            "a sum of clipped gradients is not a number within its bounds: look for extreme values "
            "in the data or lower training.optimizer.learning_rate");
      }
      const int64_t noisy = RoundAtRandom(steps, coins) + noise[i];
      out[begin + i] = static_cast<float>(static_cast<double>(noisy) / scale / divisor);
    }
  }
  return absl::OkStatus();
}

}  // namespace skerry
