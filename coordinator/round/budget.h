// The privacy budget of a run: what is charged, when, and when it is spent.
#pragma once

#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

// Whether another release is not covered any more.
bool IsBudgetSpent(const RoundData& data);

// For updates that are noisy by themselves: charges the attempt that is about to begin.
void ChargeStart(RoundId round, AttemptId attempt, RoundData& data, Outbox& out);

// For noise that belongs to a sum: charges its opening, with `survivors` in it. An attempt is
// charged once, so this may be called again after a restart.
void ChargeOpening(size_t survivors, RoundData& data, Outbox& out);

// For a round that is skipped: that it is, is seen by everybody and counted (secret_cohorts.h in
// common/privacy). An attempt that was charged already is not charged again.
void ChargeSkip(RoundData& data, Outbox& out);

}  // namespace skerry
