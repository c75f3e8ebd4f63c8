#include "coordinator/round/phases/selecting.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/protocol/codec.h"
#include "coordinator/round/budget.h"
#include "coordinator/round/key_exchange.h"
#include "coordinator/round/notices.h"
#include "coordinator/round/phases.h"
#include "coordinator/selection/cohort.h"

namespace skerry {
namespace {

// A node as it stands when a round opens, before any task is sent.
Participant Enter(const NodeState* state) {
  Participant participant;
  if (state == nullptr) {
    participant.participation = Participation::kFailed;
    participant.refusal = proto::REJECT_REASON_REVOKED;
    participant.reason = "revoked";
    return participant;
  }
  participant.last_progress = state->last_seen;
  if (state->job_failure != proto::REJECT_REASON_UNSPECIFIED) {
    participant.participation = Participation::kFailed;
    participant.refusal = state->job_failure;
    participant.reason = protocol::Describe(state->job_failure);
  }
  return participant;
}

uint32_t Size(size_t count) { return static_cast<uint32_t>(count); }

// Whether a cohort can be drawn from the roster as it is.
bool IsRosterFit(const RoundData& data) {
  const auto& secret = data.policy.secret_cohorts;
  if (secret != nullptr) return data.roster.size() == secret->nodes;
  return data.roster.size() >= static_cast<size_t>(data.policy.round.quorum);
}

std::vector<NodeId> DrawCohort(const RoundData& data, RoundId round) {
  const RoundPolicy& policy = data.policy;
  if (policy.secret_cohorts == nullptr) {
    return SelectCohort(data.roster, policy.seed, round,
                        static_cast<size_t>(InvitedCount(policy.round)));
  }
  std::vector<NodeId> cohort;
  for (const uint32_t position : policy.secret_cohorts->draw(Size(data.roster.size()))) {
    cohort.push_back(data.roster[position]);
  }
  return cohort;
}

}  // namespace

Phase BeginRound(RoundData& data, Instant now, Outbox& out) {
  const RoundPolicy& policy = data.policy;
  const RoundId round(data.last_committed.value() + 1);
  if (IsBudgetSpent(data)) return EndWithinBudget(data, now, out);
  if (!data.is_replay() && !IsRosterFit(data)) return Selecting{.since = now};
  RoundStarted started{.round = round, .attempt = AttemptId(1), .invited = {}};
  if (data.is_replay()) {
    started.invited = policy.replay[round.value() - 1];
    std::sort(started.invited.begin(), started.invited.end());
  } else {
    started.invited = DrawCohort(data, round);
  }
  out.persist.emplace_back(started);
  ChargeStart(started.round, started.attempt, data, out);
  return ReopenRound(started, data, now, out);
}

namespace {

// The numbers of a round, and everybody in it.
void EnterRound(const RoundStarted& round, RoundData& data, Instant now) {
  const size_t invited = round.invited.size();
  data.round = round.round;
  data.attempt = round.attempt;
  data.quorum = data.is_replay() ? Size(invited) : static_cast<uint32_t>(data.policy.round.quorum);
  data.target =
      data.is_replay()
          ? Size(invited)
          : Size(std::min<size_t>(invited, static_cast<size_t>(CohortSize(data.policy.round))));
  data.round_started_at = now;
  data.last_progress = now;
  data.first_task_at.reset();
  data.quorum_at.reset();
  data.secagg.reset();
  data.ClearParticipants();
  for (const NodeId& node : round.invited) data.AddParticipant(node, Enter(data.FindNode(node)));
}

// Everything of a round but its first step.
void OpenRound(const RoundStarted& round, RoundData& data, Instant now, Outbox& out) {
  EnterRound(round, data, now);
  std::vector<PeerNode> tasks;
  for (auto& [node, participant] : data.participants) {
    const NodeState* state = data.FindNode(node);
    if (!participant.is_outstanding() || !state->peer) continue;
    data.SetParticipation(participant, Participation::kTasked);
    participant.last_progress = now;  // only the first task of a round counts as a sign of life
    tasks.emplace_back(*state->peer, node);
  }
  if (!tasks.empty()) data.first_task_at = now;
  SendTasks(data, std::move(tasks), out);
  if (data.policy.secagg != nullptr) StartKeyExchange(data, now);
}

// Whoever was not in the session when the coordinator stopped is out of the round.
void LeaveOut(Participant& participant, RoundData& data) {
  participant.refusal = proto::REJECT_REASON_KEYS_CLOSED;
  participant.reason = "not in the session that was open when the coordinator stopped";
  data.SetParticipation(participant, Participation::kFailed);
}

}  // namespace

Phase ReopenRound(const RoundStarted& round, RoundData& data, Instant now, Outbox& out) {
  const auto& secret = data.policy.secret_cohorts;
  if (secret != nullptr && !secret->Trains(round.invited.size())) {
    EnterRound(round, data, now);
    return SkipRound(fmt::format("{} nodes were drawn, and only cohorts of {} to {} train",
                                 round.invited.size(), secret->smallest, secret->largest),
                     data, now, out);
  }
  OpenRound(round, data, now, out);
  return Settle(Training{}, data, now, out);
}

Phase ResumeSession(const RoundStarted& round, const proto::SessionState& session, RoundData& data,
                    Instant now, Outbox& out) {
  OpenRound(round, data, now, out);
  absl::StatusOr<SecAggServer> server =
      SecAggServer::Restore({.params = data.secagg->params(),
                             .identity_of = data.policy.secagg->identity_of,
                             .crypto = data.policy.secagg->crypto},
                            session);
  if (!server.ok()) {
    return AbortAttempt(
        fmt::format("its session cannot be continued: {}", std::string(server.status().message())),
        data, now, out);
  }
  *data.secagg = *std::move(server);
  const bool is_unmasking = data.secagg->stage() >= SecAggServer::Stage::kSignatures;
  for (auto& [node, participant] : data.participants) {
    if (!participant.is_outstanding()) continue;
    if (is_unmasking && data.secagg->IsSurvivor(node)) {
      data.SetParticipation(participant, Participation::kAccepted);
    } else if (is_unmasking || !data.secagg->roster().Find(node) ||
               (data.secagg->stage() == SecAggServer::Stage::kUpdates &&
                !data.secagg->IsMember(node))) {
      LeaveOut(participant, data);
    }
  }
  data.quorum = NodesNeeded(data);
  if (is_unmasking) return ResumeUnmasking(data, now, out);
  return Settle(Training{}, data, now, out);
}

Phase ResumeSkip(const RoundStarted& round, RoundData& data, Instant now, Outbox& out) {
  EnterRound(round, data, now);
  return SkipRound("it was about to be skipped when the coordinator stopped", data, now, out);
}

Phase ResumeCommit(const RoundStarted& round, const std::vector<NodeId>& survivors, RoundData& data,
                   Instant now, Outbox& out) {
  OpenRound(round, data, now, out);
  data.secagg.reset();
  data.quorum_at = now;
  for (auto& [node, participant] : data.participants) {
    if (std::binary_search(survivors.begin(), survivors.end(), node)) {
      participant.reason.clear();  // revoked since
      data.SetParticipation(participant, Participation::kAccepted);
    } else if (participant.is_outstanding()) {
      participant.refusal = proto::REJECT_REASON_ROUND_CLOSED;
      participant.reason = "not in the sum that was about to be committed";
      data.SetParticipation(participant, Participation::kFailed);
    }
  }
  return RestartCommit(data, now, out);
}

Phase Settle(Selecting&& phase, RoundData& data, Instant now, Outbox& out) {
  if (!IsRosterFit(data)) return std::move(phase);
  return BeginRound(data, now, out);
}

Phase On(Selecting&& phase, const DeadlineReached&, RoundData& data, Instant now, Outbox& out) {
  if (now < phase.since + data.policy.round.wait_timeout) return std::move(phase);
  if (data.policy.secret_cohorts != nullptr) {
    return Fail(fmt::format("the roster has {} nodes, and the budget was calculated for cohorts "
                            "drawn from {} (round.nodes); bring the roster to that number and "
                            "resume the run",
                            data.roster.size(), data.policy.secret_cohorts->nodes),
                data, out);
  }
  return Fail(fmt::format("the roster has {} nodes and a round needs {}; add nodes to the roster "
                          "and resume the run",
                          data.roster.size(), data.policy.round.quorum),
              data, out);
}

}  // namespace skerry
