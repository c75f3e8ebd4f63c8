#include "coordinator/round/phases/committing.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "coordinator/round/budget.h"
#include "coordinator/round/notices.h"
#include "coordinator/round/phases.h"
#include "coordinator/round/senders.h"

namespace skerry {
namespace {

RoundCommitted Committed(const CommitDone& in, const RoundData& data, Instant decided, Instant now,
                         bool is_skipped) {
  RoundCommitted committed{.round = data.round,
                           .attempt = data.attempt,
                           .is_skipped = is_skipped,
                           .participants = {},
                           .model_sha256 = in.model_sha256,
                           .weight_sum = in.weight_sum,
                           .clamped_sum = in.clamped_sum,
                           .update_norm = in.update_norm,
                           .node_metrics = in.node_metrics,
                           .timings = {},
                           .checkpoint = in.checkpoint,
                           .aggregate = in.aggregate};
  committed.participants.reserve(data.participants.size());
  for (const auto& [node, participant] : data.participants) {
    committed.participants.push_back({.node = node,
                                      .participation = participant.participation,
                                      .reason = participant.reason,
                                      .finished_after = participant.finished_after});
  }
  committed.timings.until_quorum =
      *data.quorum_at - data.first_task_at.value_or(data.round_started_at);
  committed.timings.until_closed = decided - *data.quorum_at;
  committed.timings.committing = now - decided;
  return committed;
}

CommitWork CommitOf(const RoundData& data) {
  CommitWork work{.round = data.round, .attempt = data.attempt};
  for (const auto& [node, participant] : data.participants) {
    if (participant.participation == Participation::kAccepted) work.survivors.push_back(node);
  }
  work.survivor_count = data.accepted_count();
  return work;
}

}  // namespace

Phase StartCommit(RoundData& data, Instant now, Outbox& out) {
  const std::shared_ptr<const BudgetPolicy>& budget = data.policy.budget;
  CommitWork work = CommitOf(data);
  if (budget != nullptr && budget->is_noise_central) {
    ChargeOpening(data.accepted_count(), data, out);
    work.is_noise_due = true;
  }
  const auto& secret = data.policy.secret_cohorts;
  if (secret != nullptr && secret->is_noise_filled_up) work.is_noise_due = true;
  if (data.secagg) {
    work.unmask = std::make_shared<const MaskRecoveryInput>(data.secagg->RecoveryInput());
  }
  out.work.emplace_back(std::move(work));
  return Committing{.since = now, .stop = std::nullopt, .is_skipped = false};
}

Phase RestartCommit(RoundData& data, Instant now, Outbox& out) {
  out.work.emplace_back(CommitOf(data));
  return Committing{.since = now, .stop = std::nullopt, .is_skipped = false};
}

Phase SkipRound(std::string detail, RoundData& data, Instant now, Outbox& out) {
  RecordEvent(data, "round skipped", NodeId(), std::move(detail), out);
  ChargeSkip(data, out);
  for (auto& [node, participant] : data.participants) {
    const bool is_in = participant.participation == Participation::kAccepted;
    if (!is_in && !participant.is_outstanding()) continue;
    participant.refusal = proto::REJECT_REASON_ROUND_CLOSED;
    participant.reason = "the round was skipped";
    participant.finished_after.reset();
    data.SetParticipation(participant, Participation::kFailed);
  }
  out.uploads.emplace_back(DropAllUploads{});
  out.work.emplace_back(DiscardSumWork{});
  out.work.emplace_back(
      CommitWork{.round = data.round, .attempt = data.attempt, .is_skipped = true});
  data.secagg.reset();
  data.quorum_at = now;
  return Committing{.since = now, .stop = std::nullopt, .is_skipped = true};
}

Phase Settle(Committing&& phase, RoundData&, Instant, Outbox&) { return std::move(phase); }

Phase On(Committing&& phase, const CommitDone& in, RoundData& data, Instant now, Outbox& out) {
  if (in.round != data.round) return std::move(phase);
  if (in.is_unmasking_broken) {
    if (phase.stop) return Interrupt(phase.stop->detail, data, out);
    return AbortAttempt(std::string(in.status.message()), data, now, out);
  }
  if (!in.status.ok()) {
    return Fail(fmt::format("round {} could not be committed: {}", data.round.value(),
                            std::string(in.status.message())),
                data, out);
  }
  out.persist.emplace_back(Committed(in, data, phase.since, now, phase.is_skipped));
  data.last_committed = data.round;
  data.model_sha256 = in.model_sha256;
  data.clip_norm = in.clip_norm;
  data.secagg.reset();
  SendRoundClosed(data, out);
  if (phase.stop) return Interrupt(phase.stop->detail, data, out);
  EvaluateIfDue(data, out);
  if (data.last_committed.value() >= RoundCount(data.policy)) {
    return Settle(Evaluating{}, data, now, out);
  }
  return BeginRound(data, now, out);
}

Phase On(Committing&& phase, const StopRequested& in, RoundData&, Instant, Outbox&) {
  phase.stop = in;
  return std::move(phase);
}

}  // namespace skerry
