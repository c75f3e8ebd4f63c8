// Sentences about the nodes of the current round, for the live view and for the end of a run. At
// most five nodes are named.
#pragma once

#include <string>

#include "coordinator/round/phases.h"

namespace skerry {

// "node-1 (revoked), node-2 (its data cannot be read)": who left the round without an update.
std::string DescribeLost(const RoundData& data);

// What `phase` waits for; empty when it does not wait.
std::string DescribeWait(const Phase& phase, const RoundData& data, Instant now);

}  // namespace skerry
