// The updates are in and still masked. Makes their sum durable, has the survivors sign who they
// are, and asks them for the shares that open the sum. What is durable is never asked differently:
// a restart goes on here with the same bytes.
#pragma once

#include <optional>

#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

struct Phase;

struct Unmasking {
  bool is_sealed = false;  // the sum is durable and the survivors were asked
};

// The survivors are fixed.
Phase StartUnmasking(RoundData& data, Instant now, Outbox& out);
// After a restart: the survivors were fixed before it.
Phase ResumeUnmasking(RoundData& data, Instant now, Outbox& out);

// Nobody may be missed, or round.wait_timeout without an answer has passed.
std::optional<Instant> NextDeadline(const Unmasking& phase, const RoundData& data);

// Gives the attempt up and opens the next one with fresh keys and fresh training; after three the
// run fails. Nothing of the sum was or will be opened.
Phase AbortAttempt(std::string detail, RoundData& data, Instant now, Outbox& out);

Phase Settle(Unmasking&& phase, RoundData& data, Instant now, Outbox& out);
Phase On(Unmasking&& phase, const SumSealed& in, RoundData& data, Instant now, Outbox& out);
Phase On(Unmasking&& phase, const DeadlineReached&, RoundData& data, Instant now, Outbox& out);

}  // namespace skerry
