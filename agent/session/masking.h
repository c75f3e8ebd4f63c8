// The agent's part of secure aggregation: the hosted nodes' clients (common/secagg), their
// messages, and the way of an update from training to its masked upload. Idempotent; called by the
// phases and by round_work.h.
//
// A trained update waits in memory until its node's masks are known, is masked by a worker, and
// only then becomes an upload. A client that finds something wrong has wiped its secrets; its node
// is out of the round, and the reason is in the log.
#pragma once

#include "agent/session/session_data.h"
#include "common/base/clock.h"

namespace skerry {

// Whether updates of this run are masked.
bool IsMasked(const Run& run);

// True, and its nodes refused, if a masked update of the task's round and attempt, or of a later
// one, was made already, or if this is one attempt too many: another sum over almost the same nodes
// would give the difference away.
bool RefuseSpent(const proto::RoundTask& task, SessionData& data, SessionOutbox& out);

// Keys for a node that was just given a task, or the same keys again.
void SendAdvert(HostedIndex index, SessionData& data, SessionOutbox& out);

void TakeKeyRoster(const proto::KeyRoster& roster, SessionData& data, SessionOutbox& out);
void TakeRingNonces(const proto::RingNonces& ring, SessionData& data, SessionOutbox& out);
void TakeShareDelivery(const proto::ShareDelivery& delivery, SessionData& data, SessionOutbox& out);
void TakeSurvivorSet(const proto::SurvivorSet& set, SessionData& data, SessionOutbox& out);
void TakeUnmaskRequest(const proto::UnmaskRequest& request, SessionData& data, SessionOutbox& out);

// The node has finished training: its update is masked as soon as its masks are known.
void HoldUpdate(HostedIndex index, Frame update, SessionData& data, SessionOutbox& out);
// A withdrawn node is wanted again; false if its update is gone and its masks are used up.
bool ResumeMasking(HostedIndex index, SessionData& data, SessionOutbox& out);
void TakeMaskDone(const MaskDone& in, SessionData& data, Instant now, SessionOutbox& out);

}  // namespace skerry
