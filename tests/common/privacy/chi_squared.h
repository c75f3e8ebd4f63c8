// Pearson's goodness-of-fit test with exact expectations.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "common/base/status.h"

namespace skerry {

// How many standard deviations the statistic of `counts` lies above what the probabilities let
// expect (Wilson and Hilferty 1931: the cube root of a chi-squared number is nearly normal). The
// probabilities must add up to one; bins of fewer than five expected counts make it unreliable.
inline double ChiSquaredDeviations(std::span<const uint64_t> counts,
                                   std::span<const long double> probabilities) {
  SKERRY_ASSERT(counts.size() == probabilities.size() && counts.size() >= 2);
  long double total = 0;
  for (const uint64_t count : counts) total += static_cast<long double>(count);
  long double statistic = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const long double expected = total * probabilities[i];
    const long double difference = static_cast<long double>(counts[i]) - expected;
    statistic += difference * difference / expected;
  }
  const auto freedom = static_cast<long double>(counts.size() - 1);
  const long double spread = 2 / (9 * freedom);
  return static_cast<double>((std::cbrt(statistic / freedom) - (1 - spread)) / std::sqrt(spread));
}

}  // namespace skerry
