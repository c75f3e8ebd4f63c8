// Poisson sampling: each row of a data set, or each node of a roster, takes part with the same
// probability and independently of all others. The amplification of privacy by sampling holds for
// this and for no batch of fixed size.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/crypto/random_bits.h"

namespace skerry {

class PoissonSampling {
 public:
  // Fails with kInvalidArgument unless 0 < rate <= 1.
  static absl::StatusOr<PoissonSampling> Create(double rate);

  double rate() const { return rate_; }

  // The positions that take part, of 0 to count - 1, ascending; none to all of them. A double is a
  // binary fraction, and the probability is that fraction exactly. The result is secret: whoever
  // knows it gets no amplification. Any thread, also several at once if `random` allows.
  std::vector<uint32_t> Draw(uint32_t count, RandomBits& random) const;

 private:
  PoissonSampling() = default;

  double rate_ = 0.0;
  uint64_t mantissa_ = 0;  // rate = mantissa 2^-digit_count
  int digit_count_ = 0;
};

}  // namespace skerry
