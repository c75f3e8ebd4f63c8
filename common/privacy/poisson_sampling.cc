#include "common/privacy/poisson_sampling.h"

#include <cmath>

#include <fmt/format.h>

#include "common/privacy/exact_bernoulli.h"
#include "common/privacy/random_words.h"

namespace skerry {

absl::StatusOr<PoissonSampling> PoissonSampling::Create(double rate) {
  if (!(rate > 0.0 && rate <= 1.0)) {
    return absl::InvalidArgumentError(
        fmt::format("the sampling rate must be above 0 and at most 1, got {}", rate));
  }
  PoissonSampling sampling;
  sampling.rate_ = rate;
  int exponent = 0;
  sampling.mantissa_ =
      static_cast<uint64_t>(std::ldexp(std::frexp(rate, &exponent), kFractionDigitsMax));
  sampling.digit_count_ = kFractionDigitsMax - exponent;
  return sampling;
}

std::vector<uint32_t> PoissonSampling::Draw(uint32_t count, RandomBits& random) const {
  RandomWords words(random);
  std::vector<uint32_t> positions;
  for (uint32_t position = 0; position < count; ++position) {
    if (DrawFraction(mantissa_, digit_count_, words)) positions.push_back(position);
  }
  return positions;
}

}  // namespace skerry
