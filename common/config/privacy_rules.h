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

// Noisy steps that a node takes in one round: local_epochs epochs of 1 / rate expected batches each
// with placement agent, else one.
int64_t StepsPerRound(const JobConfig& job);

// Adds an error for each rule that is broken; nothing if privacy is off.
void CheckPrivacyRules(const JobConfig& job, ConfigDiagnostics& diagnostics);

}  // namespace skerry
