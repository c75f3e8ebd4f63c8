// What this site allows, whatever the coordinator sends. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "common/config/agent_config.h"
#include "common/config/job_config.h"

namespace skerry {

// What the rules are held against besides the job.
struct SiteFacts {
  uint32_t roster_size = 0;  // as the coordinator announced it: a cohort cannot be larger
  // Nodes in the site's own copy of the roster, if it has one. Only these can be in a masked sum.
  std::optional<uint32_t> pinned_nodes;
};

// OK if the site's nodes may take part in `job`. Otherwise kPermissionDenied with every rule that
// forbids it and the key that would relax it.
absl::Status CheckSitePolicy(const SitePolicyConfig& policy, const JobConfig& job,
                             const SiteFacts& facts);

}  // namespace skerry
