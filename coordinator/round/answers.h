// What each input means whatever the phase is: the sender is answered, RoundData is updated, work
// and orders are appended. Whether that ends the phase is decided by the phase (phases.h).
//
// Every handler is idempotent: delivery is at least once. Nothing here is fatal; a message that
// does not fit is refused with a reason, counted in data.rejects, and costs its sender only.
#pragma once

#include <string>

#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

// Messages. Only of nodes that joined over `peer`.
void Absorb(const ProgressReceived& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const OfferReceived& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const FailureReceived& in, RoundData& data, Instant now, Outbox& out);

// Membership.
void Absorb(const NodeJoined& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const NodeLeft& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const RosterChanged& in, RoundData& data, Instant now, Outbox& out);

// The shell's work.
void Absorb(const UploadAdvanced& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const UploadComplete& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const UploadBroken& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const EvaluationDone& in, RoundData& data, Instant now, Outbox& out);

// Only Committing waits for a commit; a late one belongs to a round that is over.
inline void Absorb(const CommitDone&, RoundData&, Instant, Outbox&) {}
// Only some phases have a deadline.
inline void Absorb(const DeadlineReached&, RoundData&, Instant, Outbox&) {}

// How a node leaves the current round without an update.
struct Dismissal {
  Participation participation = Participation::kFailed;  // or kCut
  proto::RejectReason refusal = proto::REJECT_REASON_INTERNAL;
  std::string reason;  // in words
};
// Takes an outstanding node out of the round and records it as an event.
void Dismiss(const NodeId& node, Participant& participant, Dismissal dismissal, RoundData& data,
             Outbox& out);

}  // namespace skerry
