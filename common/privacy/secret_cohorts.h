// What secret cohorts of whole nodes cost against somebody who sees models and nothing of who took
// part (privacy.observer public). Pure arithmetic on the job.
//
// Each of N nodes is in a round's cohort by its own secret coin of probability q, so a round is a
// Poisson-sampled release, unless the round tells about a coin. It does so in one way: cohorts
// outside SecretCohortBounds are skipped, and the model that stays as it was shows that. Take one
// node, the others' coins, and K, how many of those came up. They do not depend on the node's data,
// so nothing is lost by showing K:
//
//   K >= smallest      the round trains whatever the node's coin: Poisson sampling
//   K = smallest - 1   it trains exactly if the node is in it: the coin shows, and a node that is
//                      in it has no amplification. Together that has the probability
//                      pi = q P(K = smallest - 1)
//   K < smallest - 1   skipped: nothing is released
//   K = largest        it trains exactly without the node: nothing of it is released
//
// So of T rounds a number J, binomial with T and pi, are releases without amplification, and no
// other round is worse than a Poisson-sampled one. J is cut where it is larger with a probability
// of kShownShare delta, and that much of delta is paid for it: epsilon is that of J releases
// without amplification and T - J with it, at (1 - kShownShare) delta.
#pragma once

#include <cstdint>
#include <vector>

#include "common/config/job_config.h"
#include "common/privacy/privacy_event.h"

namespace skerry {

// The part of delta that pays for rounds in which a coin may show.
inline constexpr double kShownShare = 0.01;

// pi: how likely a node is in a cohort that would have been too small without it.
double ShownCoinProbability(const JobConfig& job);

// The smallest j with P(J > j) <= `tail`, J being binomial with `trials` and `probability`. At most
// `trials`; exact up to rounding in the last places, always in favour of a larger j.
int64_t BinomialUpperPoint(int64_t trials, double probability, double tail);

// The releases of `rounds` rounds of a job with secret cohorts, to be accounted at
// (1 - kShownShare) privacy.delta. noise_multiplier must be set.
std::vector<PrivacyEvent> SecretCohortEvents(const JobConfig& job, int64_t rounds);

}  // namespace skerry
