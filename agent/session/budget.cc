#include "agent/session/budget.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/session/round_work.h"
#include "common/base/status.h"
#include "common/privacy/privacy_plan.h"
#include "common/protocol/limits.h"

namespace skerry {
namespace {

SpentEvent ReleaseOf(const JobConfig& job) {
  return {.unit = job.privacy.unit, .event = EventOfRounds(job, 1)};
}

// More than these are refused whatever the budget: each round may be attempted a few times.
int64_t ReleasesMax(const JobConfig& job) { return job.round.count * protocol::kRoundAttemptsMax; }

// Rounds that the job has left for a node, if it is wanted in each.
int64_t RoundsLeft(const NodeId& node, const SessionData& data) {
  const JobConfig& job = *data.run->job;
  const auto newest = data.spending.NewestOf(job.data.id, node, data.run->id);
  return job.round.count - (newest ? static_cast<int64_t>(newest->round.value()) : 0);
}

// The limits that the policy sets for one node.
std::vector<BudgetLimit> LimitsFor(const NodeId& node, const SessionData& data) {
  const SitePolicyConfig& policy = data.options.policy;
  const JobConfig& job = *data.run->job;
  std::vector<BudgetLimit> limits;
  if (policy.epsilon_total.has_value()) {
    limits.push_back({.key = "policy.epsilon_total",
                      .what = fmt::format("all jobs on data {}", job.data.id),
                      .question = {.spent = data.spending.EventsOf(job.data.id, node),
                                   .release = ReleaseOf(job),
                                   .epsilon_max = *policy.epsilon_total,
                                   .delta = policy.delta_total,
                                   .count_max = ReleasesMax(job)}});
  }
  // The job's own word for its epsilon is not taken: its noise decides.
  if (policy.epsilon_max.has_value()) {
    limits.push_back({.key = "policy.epsilon_max",
                      .what = "this job",
                      .question = {.spent = data.spending.EventsOf(job.data.id, node, data.run->id),
                                   .release = ReleaseOf(job),
                                   .epsilon_max = *policy.epsilon_max,
                                   .delta = job.privacy.delta,
                                   .count_max = ReleasesMax(job)}});
  }
  return limits;
}

bool IsSameHistory(const std::vector<SpentEvent>& a, const std::vector<SpentEvent>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const SpentEvent& one, const SpentEvent& other) {
                      return IsSameMechanism(one, other) && one.event.steps == other.event.steps;
                    });
}

bool IsSameQuestion(const std::vector<BudgetLimit>& a, const std::vector<BudgetLimit>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const BudgetLimit& one, const BudgetLimit& other) {
                      return IsSameHistory(one.question.spent, other.question.spent);
                    });
}

// Before the data is loaded the budget is not known, and nothing speaks against it.
absl::Status CheckBudget(HostedIndex index, const SessionData& data) {
  if (!IsPrivate(*data.run)) return absl::OkStatus();
  const auto newest =
      data.spending.NewestOf(data.run->job->data.id, data.node(index).id, data.run->id);
  if (newest && data.run->round->key <= *newest) {
    return absl::AlreadyExistsError(
        fmt::format("an update of round {}, attempt {} was charged to this site's budget before; "
                    "another one would be a second release",
                    newest->round.value(), newest->attempt.value()));
  }
  const std::optional<NodeBudget>& budget = data.node(index).budget;
  if (budget && budget->releases_left == 0) return absl::ResourceExhaustedError(*budget->reason);
  return absl::OkStatus();
}

}  // namespace

bool IsPrivate(const Run& run) { return run.job != nullptr && run.job->privacy.enabled; }

std::vector<BudgetQuestion> AskBudget(const SessionData& data) {
  std::vector<BudgetQuestion> questions;
  if (!IsPrivate(*data.run)) return questions;
  for (const HostedNode& node : data.nodes) {
    std::vector<BudgetLimit> limits = LimitsFor(node.id, data);
    if (limits.empty()) return questions;
    const auto same = std::find_if(
        questions.begin(), questions.end(),
        [&](const BudgetQuestion& question) { return IsSameQuestion(question.limits, limits); });
    if (same == questions.end()) {
      questions.push_back({.nodes = {node.id}, .limits = std::move(limits)});
    } else {
      same->nodes.push_back(node.id);
    }
  }
  return questions;
}

std::vector<DataProblem> TakeBudget(const std::vector<BudgetAnswer>& answers, SessionData& data,
                                    SessionOutbox& out) {
  std::vector<DataProblem> problems;
  for (const BudgetAnswer& answer : answers) {
    const auto reason = std::make_shared<const std::string>(answer.reason);
    for (const NodeId& id : answer.nodes) {
      const std::optional<HostedIndex> index = data.Find(id.value());
      SKERRY_ASSERT(index.has_value());
      data.node(*index).budget = NodeBudget{.releases_left = answer.count, .reason = reason};
      if (answer.count == 0) problems.push_back({.node = id, .detail = answer.reason});
    }
    if (answer.count == 0 || answer.count >= RoundsLeft(answer.nodes.front(), data)) continue;
    out.report.push_back({.kind = SessionEventKind::kBudgetShort,
                          .node = answer.nodes.front(),
                          .count = static_cast<uint64_t>(answer.count),
                          .detail = answer.reason});
  }
  return problems;
}

bool AdmitToRound(HostedIndex index, SessionData& data, SessionOutbox& out) {
  const absl::Status admitted = CheckBudget(index, data);
  if (admitted.ok()) return true;
  if (!absl::IsResourceExhausted(admitted)) {
    FailNode(index, proto::REJECT_REASON_POLICY, std::string(admitted.message()), data, out);
    return false;
  }
  NodeWork& work = data.run->round->nodes.at(index);
  work.stage = NodeWork::Stage::kFailed;
  work.failure = proto::REJECT_REASON_POLICY;
  HostedNode& node = data.node(index);
  node.job_failure = proto::REJECT_REASON_POLICY;
  SendFailure(node, {.round = RoundId(0), .attempt = AttemptId(0)}, node.job_failure, out);
  out.report.push_back({.kind = SessionEventKind::kNodeFailed,
                        .node = node.id,
                        .reason = node.job_failure,
                        .detail = std::string(admitted.message())});
  return false;
}

bool ChargeUpdate(HostedIndex index, SessionData& data, SessionOutbox& out) {
  const Run& run = *data.run;
  // The budget has to have room for a rehearsed job, but zeros cost nothing.
  if (!IsPrivate(run) || run.job->is_rehearsal) return true;
  HostedNode& node = data.node(index);
  const SpentEvent release = ReleaseOf(*run.job);
  const Charge charge{.data_id = run.job->data.id,
                      .node = node.id,
                      .run = run.id,
                      .release = run.round->key,
                      .unit = release.unit,
                      .event = release.event};
  const bool is_affordable = !node.budget || node.budget->releases_left > 0;
  if (!is_affordable || !data.spending.Add(charge)) return false;
  if (node.budget) --node.budget->releases_left;
  out.persist.push_back(charge);
  return true;
}

}  // namespace skerry
