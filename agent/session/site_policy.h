// What this site allows, whatever the coordinator sends. Pure.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "common/config/agent_config.h"
#include "common/config/job_config.h"

namespace skerry {

// OK if the site's nodes may take part in `job`. Otherwise kPermissionDenied with every rule that
// forbids it and the key that would relax it. `roster_size` is what the coordinator announced: a
// cohort cannot be larger.
absl::Status CheckSitePolicy(const SitePolicyConfig& policy, const JobConfig& job,
                             uint32_t roster_size);

}  // namespace skerry
