// The noise that the coordinator itself puts on a sum. Pure, but for what is drawn from it.
//
// With privacy.placement coordinator that is all of it. With secret cohorts and noise of the nodes
// it is what their shares lack to those of the largest cohort that trains: the noise of a model can
// be measured, and must not tell how many there were (secret_cohorts.h in common/privacy).
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/privacy/update_noise.h"
#include "common/secagg/fixed_point.h"

namespace skerry {

bool AddsNoise(const JobConfig& job);

// For a sum of `update_count` updates; none if there is enough. AddsNoise(job) must hold.
absl::StatusOr<std::optional<UpdateNoise>> CoordinatorNoise(const JobConfig& job,
                                                            const UpdateEncoding& encoding,
                                                            double clip_norm,
                                                            uint32_t update_count);

}  // namespace skerry
