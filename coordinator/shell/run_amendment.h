// A run that is resumed with another job than before: which keys may differ, and whether the
// privacy budget bears the rounds that come. Pure; a coordinator asks before it changes anything.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "coordinator/store/run_history.h"

namespace skerry {

// What was worked out when the run began stays, unless `job` says otherwise itself: the noise is
// not calibrated anew for another number of rounds. Nothing if privacy is off.
void KeepNoise(const JobConfig& recorded, JobConfig& job);

// The changes in words ("round.count 12 -> 20"); empty without any. round.count may be any number
// above the rounds that are done, privacy.epsilon may be raised; kInvalidArgument names every other
// key that differs.
absl::StatusOr<std::string> DescribeChanges(const RunHistory& history, const JobConfig& recorded,
                                            const JobConfig& job);

// Whether all that was charged, with the noise it was charged for, and one charge for each round
// that is left stay within the job's epsilon. If not, kInvalidArgument with the arithmetic and with
// how many rounds would fit. Seconds, where an accountant has to search.
absl::Status CheckRoundsLeft(const RunHistory& history, const JobConfig& job);

}  // namespace skerry
