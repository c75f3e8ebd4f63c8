// The encoding that a job prescribes. Coordinator and agents compute it from the same job, so its
// numbers need not travel.
#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/secagg/fixed_point.h"

namespace skerry {

// For a model of `parameter_count` parameters. A sum holds at most as many updates as a round
// invites nodes. Fails with kInvalidArgument, with the numbers, if such a sum could wrap.
absl::StatusOr<UpdateEncoding> EncodingOf(const JobConfig& job, size_t parameter_count);

}  // namespace skerry
