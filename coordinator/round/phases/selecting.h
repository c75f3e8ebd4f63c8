// Between rounds: draws the next cohort. Left at once, unless the roster has fewer nodes than the
// quorum, or another number than secret cohorts are drawn from; then it waits for RosterChanged, up
// to round.wait_timeout.
#pragma once

#include <vector>

#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

struct Phase;

struct Selecting {
  Instant since{};
};

// Draws and records the round after the last committed one and sends its tasks.
Phase BeginRound(RoundData& data, Instant now, Outbox& out);

// Opens a round that is already recorded: the same round, attempt and nodes after a restart. A
// secret cohort of a size that does not train is skipped.
Phase ReopenRound(const RoundStarted& round, RoundData& data, Instant now, Outbox& out);

// The same, with the secure aggregation session that was stored of it.
Phase ResumeSession(const RoundStarted& round, const proto::SessionState& session, RoundData& data,
                    Instant now, Outbox& out);

// The same, after the round was charged to be skipped.
Phase ResumeSkip(const RoundStarted& round, RoundData& data, Instant now, Outbox& out);

// The same, after the coordinator's noise was made durable: the sum of these survivors is committed
// as it is, and nobody is asked for anything.
Phase ResumeCommit(const RoundStarted& round, const std::vector<NodeId>& survivors, RoundData& data,
                   Instant now, Outbox& out);

Phase Settle(Selecting&& phase, RoundData& data, Instant now, Outbox& out);
Phase On(Selecting&& phase, const DeadlineReached&, RoundData& data, Instant now, Outbox& out);

}  // namespace skerry
