// The run has ended; data.ended says how. Nothing is answered any more.
#pragma once

#include <string>

#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

struct Phase;

struct Finished {};

// All planned rounds are committed.
Phase Complete(RoundData& data, Outbox& out);
// The privacy budget is spent before all planned rounds were: a clean end.
Phase Exhaust(RoundData& data, Outbox& out);
// The run cannot go on. What is durable stays, so it can be resumed.
Phase Fail(std::string detail, RoundData& data, Outbox& out);
// Asked to stop. Agents are not told that the job ends: they keep their uploads for the restart.
Phase Interrupt(std::string detail, RoundData& data, Outbox& out);

}  // namespace skerry
