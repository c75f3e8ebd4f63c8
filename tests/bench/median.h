// What the benchmarks report of repeated runs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "common/base/clock.h"

namespace skerry {

// Of at least one value; the upper one of two in the middle.
inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.at(values.size() / 2);
}

template <typename Run>
double MedianSeconds(size_t run_count, Run run) {
  std::vector<double> times(run_count);
  for (double& seconds : times) {
    const Instant begin = SystemClock().Now();
    run();
    seconds = Seconds(SystemClock().Now() - begin);
  }
  return Median(std::move(times));
}

}  // namespace skerry
