#include "common/privacy/discrete_gaussian.h"

#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/privacy/exact_bernoulli.h"
#include "common/privacy/random_words.h"

namespace skerry {
namespace {

constexpr int kGridBits = 16;
constexpr uint64_t kVarianceMax = uint64_t{1} << 48;
// A draw is refused from this multiple of t on. P(|y| >= 2,048 t) < exp(-2048^2 / 2).
constexpr uint64_t kBlocksMax = 2048;

// No integer below overflows. With q = denominator, p = numerator, and t <= sigma + 1:
//   sigma < 1:   q t^2 = q <= 2^20
//   sigma >= 1:  q t^2 <= q (2 sigma)^2 = 4 p <= 2^52
// so the divisor 2 p (q t^2) is at most 2^103; a magnitude y < 2,048 t gives y q t < 2^63, and the
// square of the difference to p is below 2^126.
constexpr int kNumeratorBits = std::bit_width(NoiseVariance::kNumeratorMax) - 1;
constexpr int kBlockBits = std::bit_width(kBlocksMax) - 1;
static_assert(NoiseVariance::kDenominatorMax <= 4 * NoiseVariance::kNumeratorMax);
static_assert(1 + kNumeratorBits + 2 + kNumeratorBits < 127);  // IsBelowRatio's limit
static_assert(2 * (2 + kNumeratorBits + kBlockBits) <= 126);   // the exponent's numerator
static_assert(kVarianceMax == static_cast<uint64_t>(NoiseVariance::kSigmaMax) *
                                  static_cast<uint64_t>(NoiseVariance::kSigmaMax));

uint64_t FloorSqrt(uint64_t value) {
  uint64_t root = 0;
  for (uint64_t bit = uint64_t{1} << 31; bit != 0; bit >>= 1) {
    if ((root | bit) * (root | bit) <= value) root |= bit;
  }
  return root;
}

}  // namespace

absl::StatusOr<NoiseVariance> NoiseVariance::AtLeast(double sigma) {
  if (!(sigma > 0.0 && sigma <= kSigmaMax)) {
    return absl::InvalidArgumentError(fmt::format(
        "the noise's standard deviation must be above 0 and at most {:.0f} grid steps, got {}",
        kSigmaMax, sigma));
  }
  // sigma = mantissa 2^exponent exactly, so its square is exact in 106 bits.
  int exponent = 0;
  const auto mantissa = static_cast<uint64_t>(std::ldexp(std::frexp(sigma, &exponent), 53));
  const UInt128 square = static_cast<UInt128>(mantissa) * mantissa;
  for (int bits = kGridBits;; --bits) {
    const int shift = 106 - 2 * exponent - bits;  // 2 exponent <= 50: shift >= 40
    const UInt128 whole = shift < 128 ? square >> shift : 0;
    const bool is_exact = shift < 128 && (whole << shift) == square;
    const UInt128 numerator = is_exact ? whole : whole + 1;
    if (numerator <= kNumeratorMax) {
      return NoiseVariance{.numerator = static_cast<uint64_t>(numerator),
                           .denominator = uint64_t{1} << bits};
    }
  }
}

double NoiseVariance::sigma() const {
  return std::sqrt(static_cast<double>(numerator) / static_cast<double>(denominator));
}

absl::StatusOr<DiscreteGaussian> DiscreteGaussian::Create(NoiseVariance variance) {
  const bool is_in_range =
      variance.numerator >= 1 && variance.numerator <= NoiseVariance::kNumeratorMax &&
      variance.denominator >= 1 && variance.denominator <= NoiseVariance::kDenominatorMax &&
      static_cast<UInt128>(variance.numerator) <=
          static_cast<UInt128>(kVarianceMax) * variance.denominator;
  if (!is_in_range) {
    return absl::InvalidArgumentError(fmt::format(
        "the noise's variance must be a ratio of integers from 1 to 2^50 and from 1 to 2^20, and "
        "at most 2^48, got {}/{}",
        variance.numerator, variance.denominator));
  }
  DiscreteGaussian noise;
  noise.variance_ = variance;
  // floor(sqrt(x)) = floor(sqrt(floor(x)))
  noise.scale_ = FloorSqrt(variance.numerator / variance.denominator) + 1;
  noise.scaled_magnitude_ = variance.denominator * noise.scale_;
  const UInt128 divisor =
      2 * static_cast<UInt128>(variance.numerator) * (noise.scaled_magnitude_ * noise.scale_);
  noise.divisor_high_ = static_cast<uint64_t>(divisor >> 64);
  noise.divisor_low_ = static_cast<uint64_t>(divisor);
  const int bits = noise.divisor_high_ != 0
                       ? 64 + static_cast<int>(std::bit_width(noise.divisor_high_))
                       : static_cast<int>(std::bit_width(noise.divisor_low_));
  noise.divisor_shift_ = bits > 63 ? bits - 63 : 0;
  return noise;
}

struct DiscreteGaussian::Randomness {
  explicit Randomness(RandomBits& random) : words(random) {}
  RandomWords words;
  ExpOneCoins<RandomWords> coins{words};
};

// True with probability exp(-(magnitude - sigma^2 / t)^2 / (2 sigma^2)).
bool DiscreteGaussian::IsAccepted(uint64_t magnitude, Randomness& randomness) const {
  RandomWords& words = randomness.words;
  const uint64_t scaled = magnitude * scaled_magnitude_;
  const uint64_t distance =
      scaled > variance_.numerator ? scaled - variance_.numerator : variance_.numerator - scaled;
  UInt128 numerator = static_cast<UInt128>(distance) * distance;
  const UInt128 divisor = (static_cast<UInt128>(divisor_high_) << 64) | divisor_low_;
  for (; numerator >= divisor; numerator -= divisor) {
    if (!randomness.coins.Next()) return false;
  }
  // numerator / divisor lies between low / (high + 1) and (low + 1) / high. Words outside of what
  // these bounds leave open are decided by one multiplication; a few of 2^60 are not.
  const auto high = static_cast<uint64_t>(divisor >> divisor_shift_);
  const auto low = static_cast<uint64_t>(numerator >> divisor_shift_);
  const auto trial = [&] {
    const uint64_t word = words.Next();
    const UInt128 product = static_cast<UInt128>(word) * high;
    const bool is_below = product + word + high + 1 <= static_cast<UInt128>(low) << 64;
    const bool is_above = product >= static_cast<UInt128>(low + 1) << 64;
    if (is_below == is_above) [[unlikely]]
      return IsBelowRatio(word, numerator, divisor, words);
    return is_below;
  };
  return DrawExp(trial, words);
}

int64_t DiscreteGaussian::Draw(Randomness& randomness) const {
  RandomWords& words = randomness.words;
  for (;;) {
    // The discrete Laplace of scale t (algorithm 2): |y| = position + t blocks.
    uint64_t position = 0;
    if (scale_ > 1) {
      position = DrawBelow(scale_, words);
      if (!DrawExp([&] { return DrawBelow(scale_, words) < position; }, words)) continue;
    }
    const uint64_t blocks = randomness.coins.NextRun();
    if (blocks >= kBlocksMax) continue;
    const uint64_t magnitude = position + scale_ * blocks;
    const bool is_negative = (words.Next() & 1) != 0;
    if (is_negative & (magnitude == 0)) continue;  // else 0 would count twice
    if (!IsAccepted(magnitude, randomness)) continue;
    return is_negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
  }
}

void DiscreteGaussian::Fill(std::span<int64_t> out, RandomBits& random) const {
  Randomness randomness(random);
  for (int64_t& value : out) value = Draw(randomness);
}

void DiscreteGaussian::AddTo(std::span<uint32_t> ring, RandomBits& random) const {
  Randomness randomness(random);
  for (uint32_t& element : ring) element += static_cast<uint32_t>(Draw(randomness));
}

}  // namespace skerry
