// What the messages of secure aggregation mean, in whatever phase they come. Like answers.h: every
// handler is idempotent, and what does not fit costs its sender only.
#pragma once

#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

void Absorb(const AdvertReceived& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const RevealReceived& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const SharesReceived& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const SignatureReceived& in, RoundData& data, Instant now, Outbox& out);
void Absorb(const UnmaskSharesReceived& in, RoundData& data, Instant now, Outbox& out);

// Only Unmasking waits for it; a late one belongs to an attempt that is over.
inline void Absorb(const SumSealed&, RoundData&, Instant, Outbox&) {}

}  // namespace skerry
