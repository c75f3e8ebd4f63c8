// Noise for differential privacy: the discrete Gaussian on the integers (Canonne, Kamath and
// Steinke 2020, algorithms 2 and 3), P(x) proportional to exp(-x^2 / (2 sigma^2)), for a sigma^2
// that is a ratio of integers. The distribution is exact: only integers are used, none of which can
// overflow, and nothing depends on floating-point arithmetic. (A value of 2,048 sigma or more is
// drawn again; its probability is below 2^-3,000,000.)
//
// Its randomness is the caller's RandomBits, stretched as random_words.h says: SystemRandom() in
// programs, a repeatable one in tests only. How long a draw takes depends on the value.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "common/crypto/random_bits.h"

namespace skerry {

// sigma^2 = numerator / denominator.
struct NoiseVariance {
  static constexpr uint64_t kNumeratorMax = uint64_t{1} << 50;
  static constexpr uint64_t kDenominatorMax = uint64_t{1} << 20;
  static constexpr double kSigmaMax = 16'777'216.0;  // 2^24

  uint64_t numerator = 0;
  uint64_t denominator = 1;

  // The smallest variance on a binary grid that is not below sigma^2. It is larger by less than
  // 2^-16, for a sigma above 2^17 by less than 2^-49 sigma^2.
  // Fails with kInvalidArgument unless 0 < sigma <= kSigmaMax.
  static absl::StatusOr<NoiseVariance> AtLeast(double sigma);

  // Nearest to sqrt(numerator / denominator); for reports.
  double sigma() const;
};

class DiscreteGaussian {
 public:
  // Fails with kInvalidArgument if a part of `variance` is 0 or above its limit, or sigma above
  // kSigmaMax.
  static absl::StatusOr<DiscreteGaussian> Create(NoiseVariance variance);

  const NoiseVariance& variance() const { return variance_; }

  // Overwrites `out` with independent draws. Any thread, also several at once if `random` allows.
  void Fill(std::span<int64_t> out, RandomBits& random) const;

  // Adds an independent draw to each element modulo 2^32.
  void AddTo(std::span<uint32_t> ring, RandomBits& random) const;

 private:
  DiscreteGaussian() = default;
  struct Randomness;  // of one call
  int64_t Draw(Randomness& randomness) const;
  bool IsAccepted(uint64_t magnitude, Randomness& randomness) const;

  NoiseVariance variance_;
  uint64_t scale_ = 1;             // t = floor(sigma) + 1, the discrete Laplace's
  uint64_t scaled_magnitude_ = 0;  // denominator t
  // The exponent of the acceptance is (y denominator t - numerator)^2 over this,
  // 2 numerator denominator t^2, as two words; and its first 63 bits or less.
  uint64_t divisor_high_ = 0;
  uint64_t divisor_low_ = 0;
  int divisor_shift_ = 0;
};

}  // namespace skerry
