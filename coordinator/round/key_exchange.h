// The first half of secure aggregation, while nodes train: their keys are collected and handed
// round, then the nonces of a ring if there is one, then their shares. A stage is closed when every
// node that is waited for has answered, or at a deadline, without those that were silent for
// round.stall_timeout, once enough have.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

// A session for the attempt that has just been opened.
void StartKeyExchange(RoundData& data, Instant now);

// Nodes needed for the round to go on: those with keys before the keys are closed, updates
// afterwards. data.quorum follows it.
uint32_t NodesNeeded(const RoundData& data);

// Closes what is complete.
void AdvanceKeyExchange(RoundData& data, Instant now, Outbox& out);
// In a session with a ring, a node whose nonce is missing and will not come any more: the ring
// cannot be drawn without it, or it could be drawn again until it suits somebody.
std::optional<NodeId> FindLostNonce(const RoundData& data);
// What the exchange is at, for people.
std::string DescribeKeyExchange(const RoundData& data);
// Takes silent nodes out of the round, if enough have answered.
void CutSilentKeys(RoundData& data, Instant now, Outbox& out);
std::optional<Instant> NextKeyCut(const RoundData& data);

// What a node that (re)joined has to know of the session: sent behind its task.
void SendSession(const RoundData& data, PeerId peer, const NodeId& node, Outbox& out);

// The question that survivors of one process have to answer at the present stage.
void AskSurvivors(const RoundData& data, std::span<const NodeId> nodes, proto::Envelope& envelope);

// Makes what is closed durable.
void StoreSession(const RoundData& data, Outbox& out);

}  // namespace skerry
