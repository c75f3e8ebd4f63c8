// Connecting and joining: who we are, which job it is, whether this site takes part in it.
// Idempotent; called by the phases.
#pragma once

#include "agent/session/session_data.h"
#include "common/base/clock.h"

namespace skerry {

// Forgets what was known of the last connection.
void ForgetLink(SessionData& data);

void SendHello(const SessionData& data, SessionOutbox& out);

// Takes over the run and its job, checks them against the site's policy, and has the data loaded.
// Another run than before: everything of the old one is dropped. The same run: uploads, trainings
// and the model are kept, the coordinator was merely restarted.
void TakeWelcome(const proto::Welcome& welcome, SessionData& data, SessionOutbox& out);

// Proves the nodes that have no verdict yet.
void SendJoin(SessionData& data, SessionOutbox& out);

// Verdicts on nodes. Those that joined are told of as failed if they cannot take part, and their
// waiting uploads are offered.
void TakeJoinResult(const proto::JoinResult& result, SessionData& data, Instant now,
                    SessionOutbox& out);

// The coordinator does not count `index` as joined any more.
void LoseNode(HostedIndex index, proto::RejectReason reason, SessionData& data, Instant now);

// Refused nodes try again, when it is time.
void RejoinRefused(SessionData& data, Instant now, SessionOutbox& out);

void TakeDataLoaded(const DataLoaded& in, SessionData& data, SessionOutbox& out);

// Drops the run: its trainings are cancelled, its uploads forgotten.
void ForgetRun(SessionData& data, SessionOutbox& out);

}  // namespace skerry
