// The quorum is met. Nodes without progress for round.stall_timeout are cut, at deadlines only, so
// that a coordinator that was itself held up reads what has arrived before it judges anyone. Over
// when nobody is outstanding or the cohort size is reached.
#pragma once

#include <optional>
#include <vector>

#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

struct Phase;

struct Collecting {
  // A sign of life of an outstanding node, perhaps no longer its last one.
  struct Sign {
    Instant at;
    NodeId node;
  };
  // A heap, oldest sign first, with one entry for each node outstanding when the quorum was met.
  // Entries are brought up to date when they come to the top, so a message costs nothing here.
  std::vector<Sign> signs;
};

// The quorum has just been met.
Phase StartCollecting(RoundData& data, Instant now, Outbox& out);

// Not later than the first cut that is due; empty if nobody can be cut.
std::optional<Instant> NextCut(const Collecting& phase, const RoundData& data);

Phase Settle(Collecting&& phase, RoundData& data, Instant now, Outbox& out);
Phase On(Collecting&& phase, const DeadlineReached&, RoundData& data, Instant now, Outbox& out);

}  // namespace skerry
