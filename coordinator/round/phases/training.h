// Fewer updates than round.quorum. With secure aggregation nodes exchange keys meanwhile
// (key_exchange.h), and the quorum is at least what opens the sum.
//
// Waits up to round.wait_timeout without progress of anyone, then the run fails and can be resumed.
// When those left cannot make the quorum, it fails at once; a secret cohort's round is skipped
// instead, unless so many nodes refuse the job that most cohorts would be.
#pragma once

#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

struct Phase;

struct Training {};

// The next silent node to be cut from the key exchange, or the end of patience.
Instant NextDeadline(const Training& phase, const RoundData& data);

Phase Settle(Training&& phase, RoundData& data, Instant now, Outbox& out);
Phase On(Training&& phase, const DeadlineReached&, RoundData& data, Instant now, Outbox& out);

}  // namespace skerry
