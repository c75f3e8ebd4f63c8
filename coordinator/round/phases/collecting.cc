#include "coordinator/round/phases/collecting.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "coordinator/round/notices.h"
#include "coordinator/round/phases.h"

namespace skerry {
namespace {

// Of a heap whose top is the oldest sign; the node decides between equal instants, so that the
// order of cuts does not depend on the heap's history.
bool IsYounger(const Collecting::Sign& a, const Collecting::Sign& b) {
  return a.at != b.at ? a.at > b.at : a.node > b.node;
}

void Cut(const NodeId& node, Participant& participant, RoundData& data, Instant now, Outbox& out) {
  Dismiss(
      node, participant,
      {.participation = Participation::kCut,
       .refusal = proto::REJECT_REASON_STALLED,
       .reason = fmt::format("no progress for {:.0f} s", Seconds(now - participant.last_progress))},
      data, out);
}

// Nobody's update is needed any more (over-selection).
void TurnAwaySurplus(RoundData& data, Outbox& out) {
  std::vector<PeerNode> told;
  for (auto& [node, participant] : data.participants) {
    if (!participant.is_outstanding()) continue;
    participant.refusal = proto::REJECT_REASON_COHORT_FULL;
    data.SetParticipation(participant, Participation::kSurplus);
    const NodeState* state = data.FindNode(node);
    if (state->peer) told.emplace_back(*state->peer, node);
  }
  std::sort(told.begin(), told.end());
  for (const auto& [peer, node] : told) {
    SendVerdict(data, peer, data.round.value(), node, proto::REJECT_REASON_COHORT_FULL, out);
  }
  out.uploads.emplace_back(DropAllUploads{});
}

}  // namespace

Phase StartCollecting(RoundData& data, Instant now, Outbox& out) {
  data.quorum_at = now;
  Collecting phase;
  phase.signs.reserve(data.outstanding_count());
  for (const auto& [node, participant] : data.participants) {
    if (participant.is_outstanding()) phase.signs.push_back({participant.last_progress, node});
  }
  std::make_heap(phase.signs.begin(), phase.signs.end(), IsYounger);
  return Settle(std::move(phase), data, now, out);
}

std::optional<Instant> NextCut(const Collecting& phase, const RoundData& data) {
  if (phase.signs.empty()) return std::nullopt;
  return phase.signs.front().at + data.policy.round.stall_timeout;
}

Phase Settle(Collecting&& phase, RoundData& data, Instant now, Outbox& out) {
  const bool is_complete = data.accepted_count() >= data.target || data.outstanding_count() == 0;
  if (!is_complete) return std::move(phase);
  TurnAwaySurplus(data, out);
  return data.secagg ? StartUnmasking(data, now, out) : StartCommit(data, now, out);
}

Phase On(Collecting&& phase, const DeadlineReached&, RoundData& data, Instant now, Outbox& out) {
  std::vector<Collecting::Sign>& signs = phase.signs;
  std::vector<PeerNode> told;
  while (!signs.empty() && signs.front().at + data.policy.round.stall_timeout <= now) {
    std::pop_heap(signs.begin(), signs.end(), IsYounger);
    Collecting::Sign& sign = signs.back();
    Participant& participant = *data.FindParticipant(sign.node);
    if (participant.is_outstanding() && participant.last_progress > sign.at) {
      sign.at = participant.last_progress;
      std::push_heap(signs.begin(), signs.end(), IsYounger);
      continue;
    }
    if (participant.is_outstanding()) {
      Cut(sign.node, participant, data, now, out);
      const NodeState* state = data.FindNode(sign.node);
      if (state->peer) told.emplace_back(*state->peer, sign.node);
    }
    signs.pop_back();
  }
  std::sort(told.begin(), told.end());
  for (const auto& [peer, node] : told) {
    SendVerdict(data, peer, data.round.value(), node, proto::REJECT_REASON_STALLED, out);
  }
  return Settle(std::move(phase), data, now, out);
}

}  // namespace skerry
