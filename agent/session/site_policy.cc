#include "agent/session/site_policy.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/config/privacy_rules.h"
#include "common/config/secagg_rules.h"

namespace skerry {
namespace {

// What forbids a job by the noise that it asks for. Whether the budget of the site's nodes has room
// for it is not asked here: that takes an accountant (budget.h).
void CheckPrivacy(const SitePolicyConfig& policy, const PrivacyConfig& privacy,
                  std::vector<std::string>& problems) {
  if (!privacy.enabled) {
    if (policy.require_privacy) {
      problems.push_back(
          "the job has no differential privacy, so the model may give away what it was trained on "
          "(policy.require_privacy: false allows that)");
    }
    return;
  }
  if (privacy.placement == NoisePlacement::kCoordinator && !policy.allow_coordinator_noise) {
    problems.push_back(
        "the coordinator would add the noise, so the job's epsilon holds only if it does "
        "(policy.allow_coordinator_noise: true trusts it)");
  }
  const double epsilon_max = policy.epsilon_max.value_or(HUGE_VAL);
  if (privacy.epsilon.value_or(0.0) > epsilon_max) {
    problems.push_back(fmt::format("privacy.epsilon is {:g}, policy.epsilon_max allows {:g}",
                                   *privacy.epsilon, epsilon_max));
  }
  const bool is_limited = policy.epsilon_max.has_value() || policy.epsilon_total.has_value();
  if (is_limited && privacy.delta > policy.delta_total) {
    problems.push_back(fmt::format("privacy.delta is {:g}, policy.delta_total allows {:g}",
                                   privacy.delta, policy.delta_total));
  }
  const double clip_norm_max = policy.clip_norm_max.value_or(HUGE_VAL);
  if (privacy.clip_norm > clip_norm_max) {
    problems.push_back(fmt::format("privacy.clip_norm is {:g}, policy.clip_norm_max allows {:g}",
                                   privacy.clip_norm, clip_norm_max));
  }
}

std::string CheckAtMost(std::string_view what, int64_t value, std::string_view key, int64_t max) {
  if (value <= max) return "";
  return fmt::format("{} is {}, policy.{} allows {}", what, value, key, max);
}

// What forbids a job with secure aggregation. The numbers come from the coordinator, so they are
// held against the site's own roster: a coordinator that may say who conspires, or who exists,
// could make every node but one its own.
void CheckMasking(const SitePolicyConfig& policy, const JobConfig& job, const SiteFacts& facts,
                  std::vector<std::string>& problems) {
  if (!facts.pinned_nodes.has_value()) {
    problems.push_back(
        "the job has secure aggregation, and this site has no copy of the roster to know the "
        "other nodes by (identity.roster names one)");
  }
  const int64_t colluders_min =
      policy.colluders_min.value_or(DefaultColluders(facts.pinned_nodes.value_or(0)));
  if (job.secagg.colluders < colluders_min) {
    problems.push_back(fmt::format(
        "secagg.colluders is {}, {} asks for {}", job.secagg.colluders,
        policy.colluders_min.has_value()
            ? "policy.colluders_min"
            : fmt::format("a roster of {} nodes (unless policy.colluders_min says less)",
                          facts.pinned_nodes.value_or(0)),
        colluders_min));
  }
  const int64_t invited = std::min<int64_t>(
      {InvitedCount(job.round), facts.roster_size, facts.pinned_nodes.value_or(facts.roster_size)});
  const int64_t nodes = SmallestSession(job.round, job.secagg, invited);
  const int64_t survivors =
      std::max(SessionThreshold(nodes, job.secagg.colluders), job.secagg.min_survivors);
  if (survivors < policy.survivors_min) {
    problems.push_back(
        fmt::format("a sum of {} updates may be opened (secagg.min_survivors {}, {} of {} nodes "
                    "open it), policy.survivors_min asks for {}",
                    survivors, job.secagg.min_survivors,
                    SessionThreshold(nodes, job.secagg.colluders), nodes, policy.survivors_min));
  }
}

// Nodes a round has at most, whatever the coordinator announces. Of a cohort that coins decide as
// many as must be there.
int64_t LargestCohort(const JobConfig& job, const SiteFacts& facts) {
  const int64_t planned =
      HasSecretCohorts(job) ? SecretCohortBounds(job).smallest : CohortSize(job.round);
  const int64_t cohort = std::min<int64_t>(planned, facts.roster_size);
  const bool is_pinned = job.secagg.enabled && facts.pinned_nodes.has_value();
  return is_pinned ? std::min<int64_t>(cohort, *facts.pinned_nodes) : cohort;
}

}  // namespace

absl::Status CheckSitePolicy(const SitePolicyConfig& policy, const JobConfig& job,
                             const SiteFacts& facts) {
  std::vector<std::string> problems;
  if (job.secagg.enabled) {
    CheckMasking(policy, job, facts, problems);
  } else if (!policy.allow_plain) {
    problems.push_back(
        "the job has no secure aggregation, so the coordinator would see each update "
        "(policy.allow_plain: true allows that)");
  }
  CheckPrivacy(policy, job.privacy, problems);
  const int64_t cohort = LargestCohort(job, facts);
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
