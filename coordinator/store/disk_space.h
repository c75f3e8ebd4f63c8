// Whether a round has room on the disk, asked before it begins: what a full disk costs then is a
// message, and in the middle of a round it would be everybody's work.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/config/job_config.h"

namespace skerry {

// Bytes that one round may write to the run directory: a checkpoint with the strategy's moments,
// the sum as it is kept until the commit, as many uploads as there are memory slots in the spool,
// and a row for every node. Uploads beyond that are small next to it or come one after the other.
uint64_t RoundBytes(const JobConfig& job, uint64_t parameter_count);

// Fails with kResourceExhausted, with both numbers, if the file system of `folder` has less.
absl::Status CheckDiskSpace(const std::string& folder, uint64_t bytes_needed);

}  // namespace skerry
