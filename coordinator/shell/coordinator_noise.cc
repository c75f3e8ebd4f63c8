#include "coordinator/shell/coordinator_noise.h"

#include <cmath>

#include "common/base/status.h"
#include "common/config/privacy_rules.h"
#include "common/secagg/job_encoding.h"

namespace skerry {

bool AddsNoise(const JobConfig& job) {
  return job.privacy.enabled && !job.is_rehearsal &&
         (job.privacy.placement == NoisePlacement::kCoordinator || HasSecretCohorts(job));
}

absl::StatusOr<std::optional<UpdateNoise>> CoordinatorNoise(const JobConfig& job,
                                                            const UpdateEncoding& encoding,
                                                            double clip_norm,
                                                            uint32_t update_count) {
  double shares = 1;
  if (job.privacy.placement == NoisePlacement::kDistributed) {
    shares = static_cast<double>(SecretCohortBounds(job).largest) - update_count;
  }
  if (shares <= 0) return std::nullopt;
  const double factor = std::sqrt(shares);
  const double share =
      NoiseShare(job, clip_norm, encoding.layout().parameter_count, encoding.scale_bits());
  SKERRY_ASSIGN_OR_RETURN(UpdateNoise noise,
                          UpdateNoise::Create(factor * share, factor * ClipBitShare(job)));
  return std::optional<UpdateNoise>(std::move(noise));
}

}  // namespace skerry
