// How many more releases a budget has room for. Pure. Asks a quick accountant first, and a tight
// one three or four times where that does not settle it: then it takes seconds, for a worker.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/privacy/spending.h"

namespace skerry {

struct AllowanceQuestion {
  std::vector<SpentEvent> spent{};  // so far
  SpentEvent release{};             // each of those that are to come
  double epsilon_max = 0.0;         // what all of them together may reach at `delta`
  double delta = 0.0;
  int64_t count_max = 0;  // more are not asked for; at least 1
};

struct Allowance {
  int64_t count = 0;  // 0..count_max
  // Of count + 1 releases, above epsilon_max; infinite if these are more steps than an accountant
  // takes. Zero if all count_max fit.
  double epsilon_beyond = 0.0;
};

// The largest number of releases that is proved to fit. Fails with kInvalidArgument if the release
// or delta is nothing that an accountant knows.
absl::StatusOr<Allowance> CountReleases(const AllowanceQuestion& question);

}  // namespace skerry
