// Seeded random numbers for cohorts, partitions, shuffles, jitter and simulation: the same seed
// gives the same numbers on every machine and compiler. Never a secret and never privacy noise;
// those come from the operating system through common/crypto.
//
// xoshiro256++ (Blackman and Vigna, 2019) seeded by splitmix64.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace skerry {

class Rng {
 public:
  explicit Rng(uint64_t seed);

  // An independent stream for one purpose: Derive(seed, "partition"), Derive(seed, "cohort",
  // round).
  static Rng Derive(uint64_t seed, std::string_view label, uint64_t index = 0);

  uint64_t NextU64();
  // Uniform in [0, bound), unbiased (Lemire 2019). bound must be at least 1.
  uint64_t Below(uint64_t bound);
  // Uniform in [0, 1), 53 bits.
  double Uniform();
  // Standard normal (Box and Muller, the cosine branch only, so one call is two draws).
  double Normal();
  // Gamma with shape `alpha` > 0 and scale 1 (Marsaglia and Tsang 2000).
  double Gamma(double alpha);

  // Fisher and Yates.
  template <typename T>
  void Shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace skerry
