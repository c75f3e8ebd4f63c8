// Every round is committed; waits for the evaluation of the last model.
#pragma once

#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

struct Phase;

struct Evaluating {};

// Orders the evaluation of the newest model if one is due after `data.last_committed` and not yet
// recorded.
void EvaluateIfDue(RoundData& data, Outbox& out);

// The privacy budget bears no further release: the last model is evaluated, then the run ends.
Phase EndWithinBudget(RoundData& data, Instant now, Outbox& out);

Phase Settle(Evaluating&& phase, RoundData& data, Instant now, Outbox& out);

}  // namespace skerry
