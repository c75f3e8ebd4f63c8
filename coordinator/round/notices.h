// What the round machine tells peers. Nodes of one process are told together: a notice joins a
// message to the same peer that says the same thing and is still in the outbox. A process that
// comes back with hundreds of nodes would otherwise get the model and the session's keys as often,
// more than may wait for one peer.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

using PeerNode = std::pair<PeerId, NodeId>;

// The newest message of this kind to this peer, or null.
OutgoingMessage* FindForPeer(PeerId peer, proto::Envelope::BodyCase kind, Outbox& out);

// Asks the node to train in the current round.
void SendTask(const RoundData& data, PeerId peer, const NodeId& node, Outbox& out);
// The same for many nodes, in any order.
void SendTasks(const RoundData& data, std::vector<PeerNode> nodes, Outbox& out);

// Answers a node's upload or message of `round`; kUnspecified: its update is in the sum.
void SendVerdict(const RoundData& data, PeerId peer, uint64_t round, const NodeId& node,
                 proto::RejectReason reason, Outbox& out);

// To every peer that hosts a participant.
void SendRoundClosed(const RoundData& data, Outbox& out);
// To every peer.
void SendJobEnd(const RoundData& data, bool completed, const std::string& detail, Outbox& out);

}  // namespace skerry
