// Who sent a message of the round, and the answers that have no phase. Shared by the answers to
// plain rounds (answers.h) and to secure aggregation (session_answers.h).
#pragma once

#include <string>

#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

void RecordEvent(const RoundData& data, std::string kind, const NodeId& node, std::string detail,
                 Outbox& out);

// Unspecified if `node` may speak over `peer`.
proto::RejectReason CheckSender(const NodeState* state, PeerId peer);

// The participant a message of the current round is about, or why there is none.
struct Sender {
  NodeState* state = nullptr;
  Participant* participant = nullptr;
  proto::RejectReason refusal = proto::REJECT_REASON_UNSPECIFIED;
};
Sender FindSender(RoundData& data, PeerId peer, const NodeId& node, uint64_t round);

// Whether a message of the current round is of an attempt that was given up. It is counted and left
// without an answer: verdicts name no attempt, and the node has the next one's task on its way.
bool IsStale(uint32_t attempt, RoundData& data);

// Answers and counts a refused message.
void Refuse(PeerId peer, uint64_t round, const NodeId& node, proto::RejectReason reason,
            RoundData& data, Outbox& out);

void SignOfLife(NodeState& state, Participant& participant, RoundData& data, Instant now);

}  // namespace skerry
