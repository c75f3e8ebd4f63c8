// The Gaussian mechanism on a grid, for sums of clipped gradients: the sum is rounded to multiples
// of 2^-f and gets exact discrete Gaussian noise (common/privacy/discrete_gaussian.h). Noise in
// floating point would leak through the numbers that it cannot reach (Mironov 2012).
//
// Rounding goes to one of the two neighbours at random, so that the mean is exact. With the same
// coins it moves the difference of two sums by less than one grid step a coordinate; so a sum that
// one record changes by at most C changes by at most C 2^f + sqrt(d) grid steps, and the noise is
// that, times the noise multiplier (Kairouz, Liu and Steinke 2021, without their conditioning).
//
// A value; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "common/crypto/random_bits.h"
#include "common/privacy/discrete_gaussian.h"

namespace skerry {

struct GridNoiseOptions {
  double clip_norm = 0.0;         // C: how far one record moves the sum at most
  double noise_multiplier = 0.0;  // z
  size_t dimension = 0;           // d
};

class GridNoise {
 public:
  // A finer grid than float32 has near 1 gains nothing.
  static constexpr int kScaleBitsMax = 24;
  // A clipped gradient is at least so many times longer than its rounding error.
  static constexpr double kRoundingShareMin = 256.0;
  // The largest C 2^f. A node has less than 2^32 rows, so a sum is below 2^62 and leaves room in 63
  // bits for the noise, which is below 2^36.
  static constexpr double kClippedMax = 0x1p30;

  // Takes the largest f up to kScaleBitsMax with C 2^f <= kClippedMax and a standard deviation of
  // at most NoiseVariance::kSigmaMax. Fails with kInvalidArgument, with the numbers, if a number of
  // the options is not positive or the rounding error is too large with this f.
  static absl::StatusOr<GridNoise> Create(const GridNoiseOptions& options);

  int scale_bits() const { return scale_bits_; }  // f; may be negative
  // Standard deviation of the noise, in grid steps; above z (C 2^f + sqrt(d)) by a hair.
  double sigma() const { return noise_.variance().sigma(); }

  // Writes (rounded sum + noise) / divisor to `out`, which has the sum's length. Everything random
  // comes from `random`. Fails with kOutOfRange if a value of `sum` is not finite or beyond the
  // range above.
  absl::Status Release(std::span<const double> sum, double divisor, RandomBits& random,
                       std::span<float> out) const;

 private:
  GridNoise(int scale_bits, DiscreteGaussian noise)
      : scale_bits_(scale_bits), noise_(std::move(noise)) {}

  int scale_bits_;
  DiscreteGaussian noise_;
};

}  // namespace skerry
