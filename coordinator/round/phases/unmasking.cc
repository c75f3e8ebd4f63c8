#include "coordinator/round/phases/unmasking.h"

#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/protocol/limits.h"
#include "coordinator/round/budget.h"
#include "coordinator/round/key_exchange.h"
#include "coordinator/round/notices.h"
#include "coordinator/round/phases.h"
#include "coordinator/round/senders.h"

namespace skerry {
namespace {

using Stage = SecAggServer::Stage;

// How the survivors have answered the present question.
struct Tally {
  size_t answered = 0;
  size_t awaited = 0;        // connected and able to answer
  std::vector<NodeId> able;  // have answered, or may do so still
  bool is_enough = false;    // the answers
};

Tally Count(const RoundData& data) {
  const SecAggServer& server = *data.secagg;
  Tally tally;
  for (const auto& [node, participant] : data.participants) {
    if (!server.IsSurvivor(node)) continue;
    const bool has_answered = server.stage() == Stage::kSignatures ? server.HasSignature(node)
                                                                   : server.HasUnmaskShares(node);
    const NodeState* state = data.FindNode(node);
    if (has_answered) {
      ++tally.answered;
    } else if (state == nullptr || participant.has_lost_session) {
      continue;
    } else if (state->peer) {
      ++tally.awaited;
    }
    tally.able.push_back(node);  // one that is away may come back
  }
  tally.is_enough = server.stage() == Stage::kSignatures ? server.HasEnoughSignatures()
                                                         : server.HasEnoughAnswers();
  return tally;
}

// One message to each process with survivors.
void AskAll(const RoundData& data, Outbox& out) {
  std::map<PeerId, std::vector<NodeId>> hosted;
  for (const auto& [node, participant] : data.participants) {
    const NodeState* state = data.FindNode(node);
    if (state != nullptr && state->peer && data.secagg->IsSurvivor(node)) {
      hosted[*state->peer].push_back(node);
    }
  }
  for (const auto& [peer, nodes] : hosted) {
    out.send.push_back({.peer = peer, .envelope = {}, .attach_model = false});
    AskSurvivors(data, nodes, out.send.back().envelope);
  }
}

void AskForShares(RoundData& data, Instant now, Outbox& out) {
  data.secagg->CloseSignatures();
  data.session_stage_since = now;
  // Once the request is durable it is asked again after any restart, so it is charged together with
  // that, and once.
  ChargeOpening(data.secagg->survivor_count(), data, out);
  StoreSession(data, out);
  AskAll(data, out);
}

// `is_late`: whoever is connected and silent has had round.stall_timeout to answer.
Phase Proceed(Unmasking&& phase, bool is_late, RoundData& data, Instant now, Outbox& out) {
  if (!phase.is_sealed) return std::move(phase);
  Tally tally = Count(data);
  const auto is_closing = [&] { return tally.is_enough && (tally.awaited == 0 || is_late); };
  if (data.secagg->stage() == Stage::kSignatures && is_closing()) {
    AskForShares(data, now, out);
    is_late = false;
    tally = Count(data);
  }
  if (data.secagg->stage() == Stage::kUnmasking && is_closing()) {
    return StartCommit(data, now, out);
  }
  if (data.secagg->CanOpenWith(tally.able)) return std::move(phase);
  return AbortAttempt(
      fmt::format("{} of {} survivors can still help to open the sum, too few: {} of the {} that "
                  "hold shares of a node's secrets are needed",
                  tally.able.size(), data.secagg->survivor_count(),
                  data.secagg->roster().threshold(),
                  data.secagg->roster().graph().HoldersOf(0).size()),
      data, now, out);
}

Instant LateAt(const RoundData& data) {
  return data.session_stage_since + data.policy.round.stall_timeout;
}
Instant GivenUpAt(const RoundData& data) {
  return data.session_stage_since + data.policy.round.wait_timeout;
}

}  // namespace

Phase StartUnmasking(RoundData& data, Instant now, Outbox& out) {
  std::vector<NodeId> survivors;
  for (const auto& [node, participant] : data.participants) {
    if (participant.participation == Participation::kAccepted) survivors.push_back(node);
  }
  data.secagg->CloseUpdates(survivors);
  data.session_stage_since = now;
  out.work.emplace_back(SealSumWork{.round = data.round, .attempt = data.attempt});
  return Unmasking{};
}

Phase ResumeUnmasking(RoundData& data, Instant now, Outbox& out) {
  data.quorum_at = now;
  data.session_stage_since = now;
  return Settle(Unmasking{.is_sealed = true}, data, now, out);
}

std::optional<Instant> NextDeadline(const Unmasking& phase, const RoundData& data) {
  if (!phase.is_sealed) return std::nullopt;
  return Count(data).is_enough ? LateAt(data) : GivenUpAt(data);
}

Phase AbortAttempt(std::string detail, RoundData& data, Instant now, Outbox& out) {
  RecordEvent(data, "attempt given up", NodeId(),
              fmt::format("round {}, attempt {}: {}; nothing was opened", data.round.value(),
                          data.attempt.value(), detail),
              out);
  out.uploads.emplace_back(DropAllUploads{});
  out.work.emplace_back(DiscardSumWork{});
  if (data.attempt.value() >= protocol::kRoundAttemptsMax) {
    return Fail(fmt::format("round {} was given up {} times, the last time because {}",
                            data.round.value(), protocol::kRoundAttemptsMax, detail),
                data, out);
  }
  if (IsBudgetSpent(data)) return EndWithinBudget(data, now, out);
  RoundStarted started{
      .round = data.round, .attempt = AttemptId(data.attempt.value() + 1), .invited = {}};
  for (const auto& [node, participant] : data.participants) started.invited.push_back(node);
  out.persist.emplace_back(started);
  ChargeStart(started.round, started.attempt, data, out);
  return ReopenRound(started, data, now, out);
}

Phase Settle(Unmasking&& phase, RoundData& data, Instant now, Outbox& out) {
  return Proceed(std::move(phase), /*is_late=*/false, data, now, out);
}

Phase On(Unmasking&& phase, const SumSealed& in, RoundData& data, Instant now, Outbox& out) {
  if (phase.is_sealed || in.round != data.round || in.attempt != data.attempt) {
    return std::move(phase);
  }
  if (!in.status.ok()) {
    return Fail(fmt::format("the masked sum of round {} could not be stored: {}",
                            data.round.value(), std::string(in.status.message())),
                data, out);
  }
  phase.is_sealed = true;
  data.session_stage_since = now;
  StoreSession(data, out);
  AskAll(data, out);
  return Settle(std::move(phase), data, now, out);
}

Phase On(Unmasking&& phase, const DeadlineReached&, RoundData& data, Instant now, Outbox& out) {
  if (!phase.is_sealed) return std::move(phase);
  if (now >= GivenUpAt(data)) {
    const Tally tally = Count(data);
    if (!tally.is_enough) {
      return Fail(fmt::format("round {}: {} of {} survivors have answered in {:.0f} s, too few to "
                              "open the sum. Resume the run when they are back",
                              data.round.value(), tally.answered, data.secagg->survivor_count(),
                              Seconds(data.policy.round.wait_timeout)),
                  data, out);
    }
  }
  return Proceed(std::move(phase), now >= LateAt(data), data, now, out);
}

}  // namespace skerry
