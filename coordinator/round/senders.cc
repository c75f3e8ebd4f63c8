#include "coordinator/round/senders.h"

#include <utility>

#include "coordinator/round/notices.h"

namespace skerry {
namespace {

using proto::RejectReason;

RejectReason CheckRound(const RoundData& data, uint64_t round) {
  if (round <= data.last_committed.value()) return proto::REJECT_REASON_ROUND_CLOSED;
  if (round != data.round.value()) return proto::REJECT_REASON_WRONG_ROUND;
  return proto::REJECT_REASON_UNSPECIFIED;
}

}  // namespace

void RecordEvent(const RoundData& data, std::string kind, const NodeId& node, std::string detail,
                 Outbox& out) {
  out.persist.emplace_back(EventRecorded{.round = data.round,
                                         .kind = std::move(kind),
                                         .node = node.value(),
                                         .detail = std::move(detail)});
}

RejectReason CheckSender(const NodeState* state, PeerId peer) {
  if (state == nullptr) return proto::REJECT_REASON_NOT_IN_ROSTER;
  if (!state->peer) return proto::REJECT_REASON_OUT_OF_PHASE;
  if (*state->peer != peer) return proto::REJECT_REASON_NODE_ELSEWHERE;
  return proto::REJECT_REASON_UNSPECIFIED;
}

Sender FindSender(RoundData& data, PeerId peer, const NodeId& node, uint64_t round) {
  Sender sender;
  sender.state = data.FindNode(node);
  sender.refusal = CheckSender(sender.state, peer);
  if (sender.refusal != proto::REJECT_REASON_UNSPECIFIED) return sender;
  sender.refusal = CheckRound(data, round);
  if (sender.refusal != proto::REJECT_REASON_UNSPECIFIED) return sender;
  sender.participant = data.FindParticipant(node);
  if (sender.participant == nullptr) sender.refusal = proto::REJECT_REASON_NOT_INVITED;
  return sender;
}

bool IsStale(uint32_t attempt, RoundData& data) {
  if (attempt >= data.attempt.value()) return false;
  ++data.rejects[proto::REJECT_REASON_WRONG_ROUND];
  return true;
}

void Refuse(PeerId peer, uint64_t round, const NodeId& node, RejectReason reason, RoundData& data,
            Outbox& out) {
  ++data.rejects[reason];
  SendVerdict(data, peer, round, node, reason, out);
}

void SignOfLife(NodeState& state, Participant& participant, RoundData& data, Instant now) {
  state.last_seen = now;
  if (!participant.is_outstanding()) return;
  participant.last_progress = now;
  data.last_progress = now;
}

}  // namespace skerry
