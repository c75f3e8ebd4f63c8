// What a job's privacy section comes to: its noise, its epsilon, and how many rounds its budget
// bears. Pure arithmetic on the job; seconds where an accountant has to search.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/privacy/privacy_event.h"

namespace skerry {

// What `rounds` rounds release to one inside, who sees cohorts and conspires with up to
// secagg.colluders nodes. A record's Poisson coins are its node's secret, so they amplify; a node's
// own participation is no secret to that observer and does not. Sites charge this, whatever the job
// says of its observer.
PrivacyEvent EventOfRounds(const JobConfig& job, int64_t rounds);

// Sets whichever of epsilon and noise_multiplier the job leaves out, for its planned rounds.
// Nothing if privacy is off. Fails with kInvalidArgument, with the numbers, if both are there and
// do not agree within two hundredths, or if no noise is enough.
absl::Status CompletePrivacy(JobConfig& job);

// Epsilon at the job's delta after `rounds` rounds, for the job's observer. noise_multiplier must
// be set.
absl::StatusOr<double> EpsilonAfter(const JobConfig& job, int64_t rounds);
// The same, looser and in microseconds; at most the job's epsilon within its planned rounds.
double QuickEpsilonAfter(const JobConfig& job, int64_t rounds);

// The insider's epsilon of whole nodes after `releases` of which a node was in each. Exact, in
// microseconds. noise_multiplier must be set.
double InsiderEpsilonOf(const JobConfig& job, int64_t releases);

// How many rounds the budget bears, attempts that were opened in vain included. At least the
// planned ones, which it was calibrated for, at most twice as many. Both numbers must be set.
absl::StatusOr<int64_t> RoundsWithin(const JobConfig& job);

// Client level: the noise of a mean update in units of the clip norm, z sqrt(d) / m, z being what
// an adaptive clip norm leaves for the updates. Above about 5 training does not learn any more
// (McMahan et al. and TensorFlow Federated's EMNIST runs).
double NoiseToSignal(const JobConfig& job, int64_t parameter_count);
inline constexpr double kNoiseToSignalMax = 5.0;

}  // namespace skerry
