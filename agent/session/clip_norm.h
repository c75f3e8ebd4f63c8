// The clip norm of a round in a job where it is adaptive: the coordinator names it with the task,
// the job and this site say how large it may be. Pure.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "agent/session/session_data.h"

namespace skerry {

// None in jobs whose clip norm is fixed.
std::optional<double> ClipNormOf(const proto::RoundTask& task, const Run& run);

// kPermissionDenied with the numbers unless it is above 0 and at most the job's largest and the
// site's policy.clip_norm_max.
absl::Status CheckClipNorm(const proto::RoundTask& task, const SessionData& data);

}  // namespace skerry
