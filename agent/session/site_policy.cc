#include "agent/session/site_policy.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

std::string CheckAtMost(std::string_view what, int64_t value, std::string_view key, int64_t max) {
  if (value <= max) return "";
  return fmt::format("{} is {}, policy.{} allows {}", what, value, key, max);
}

}  // namespace

absl::Status CheckSitePolicy(const SitePolicyConfig& policy, const JobConfig& job,
                             uint32_t roster_size) {
  std::vector<std::string> problems;
  if (!job.secagg.enabled && !policy.allow_plain) {
    problems.push_back(
        "the job has no secure aggregation, so the coordinator would see each update "
        "(policy.allow_plain: true allows that)");
  }
  const int64_t cohort = std::min<int64_t>(CohortSize(job.round), roster_size);
  if (cohort < policy.cohort_min) {
    problems.push_back(fmt::format("a cohort has {} nodes, policy.cohort_min asks for {}", cohort,
                                   policy.cohort_min));
  }
  problems.push_back(CheckAtMost("round.count", job.round.count, "rounds_max", policy.rounds_max));
  problems.push_back(CheckAtMost("training.local_epochs", job.training.local_epochs,
                                 "local_epochs_max", policy.local_epochs_max));
  const std::vector<ModelName>& models = policy.models;
  if (!models.empty() && std::find(models.begin(), models.end(), job.model.name) == models.end()) {
    problems.push_back("the job's model is not among policy.models");
  }
  std::erase(problems, "");
  if (problems.empty()) return absl::OkStatus();
  return absl::PermissionDeniedError(fmt::format("{}", fmt::join(problems, "; ")));
}

}  // namespace skerry
