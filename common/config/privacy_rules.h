// Rules of the privacy section: what cannot protect anybody is refused, with the arithmetic. What
// needs an accountant (does epsilon fit the noise?) is common/privacy's.
#pragma once

#include "common/config/config_error.h"
#include "common/config/job_config.h"

namespace skerry {

// How many units the guarantee is about: records, or nodes. A public number.
int64_t UnitCount(const JobConfig& job);

// Survivors of a sum that add noise and do not conspire, at the least: the noise must be enough
// with theirs alone. 1 unless the noise is distributed.
int64_t NoisySurvivors(const JobConfig& job);

// Standard deviation of the noise in the sum of the nodes' clip bits; adaptive_clip must be set.
double ClipBitNoise(const JobConfig& job);

// z of the updates: privacy.noise_multiplier, or with an adaptive clip norm what is left when the
// nodes' bits have taken their part: 1 / z^2 = 1 / z_updates^2 + 1 / (2 sigma_b)^2, sigma_b being
// the noise on the sum of the bits, which one node moves by 1/2 (Andrew et al. 2021, theorem 1).
// Infinite if nothing is left. noise_multiplier must be set.
double UpdateNoiseMultiplier(const JobConfig& job);

// Whether rounds draw secret cohorts, each node by a coin of its own: privacy.observer public.
bool HasSecretCohorts(const JobConfig& job);

// Nodes in a round, on average where coins decide: what a sum of whole nodes' updates is divided
// by, whoever came.
double ExpectedCohort(const JobConfig& job);

// The sizes of secret cohorts that train; all others are skipped. Fewer than `smallest` could not
// make a sum that may be opened. More than `largest` have more noise of their own, if it is
// distributed, than the coordinator makes every sum's up to, so that no model tells by its noise
// how many were there.
struct CohortBounds {
  int64_t smallest = 0;
  int64_t largest = 0;
};
CohortBounds SecretCohortBounds(const JobConfig& job);

// Noisy steps that a node takes in one round: local_epochs epochs of 1 / rate expected batches each
// with placement agent, else one.
int64_t StepsPerRound(const JobConfig& job);

// Adds an error for each rule that is broken; nothing if privacy is off.
void CheckPrivacyRules(const JobConfig& job, ConfigDiagnostics& diagnostics);

}  // namespace skerry
