#include "agent/session/clip_norm.h"

#include <algorithm>

#include <fmt/format.h>

namespace skerry {

std::optional<double> ClipNormOf(const proto::RoundTask& task, const Run& run) {
  if (!run.job->privacy.adaptive_clip.has_value()) return std::nullopt;
  return task.clip_norm();
}

absl::Status CheckClipNorm(const proto::RoundTask& task, const SessionData& data) {
  const std::optional<double> clip_norm = ClipNormOf(task, *data.run);
  if (!clip_norm.has_value()) return absl::OkStatus();
  const double job_max = data.run->job->privacy.clip_norm;
  const double max = std::min(job_max, data.options.policy.clip_norm_max.value_or(job_max));
  if (*clip_norm > 0 && *clip_norm <= max) return absl::OkStatus();  // not true of a NaN
  return absl::PermissionDeniedError(fmt::format(
      "the round's clip norm is {:g}, expected above 0 and at most {:g} (privacy.clip_norm of the "
      "job, policy.clip_norm_max of this site)",
      *clip_norm, max));
}

}  // namespace skerry
