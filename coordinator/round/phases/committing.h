// The survivors are fixed. The worker opens the sum if it is masked, decodes it, applies the
// strategy and writes the checkpoint; CommitDone ends the round. A request to stop waits for it.
#pragma once

#include <optional>
#include <string>

#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

struct Phase;

struct Committing {
  Instant since{};
  std::optional<StopRequested> stop;
  bool is_skipped = false;
};

// Orders the commit of the accepted updates. If the coordinator adds the noise, their release is
// charged in the same outbox at the latest.
Phase StartCommit(RoundData& data, Instant now, Outbox& out);
// The same, of a sum that was restored with its noise.
Phase RestartCommit(RoundData& data, Instant now, Outbox& out);

// The open round trains no more and ends without an update: its cohort is secret and no sum of it
// can be made. Charged, durable and an event, like any round; `detail` says why, for insiders.
Phase SkipRound(std::string detail, RoundData& data, Instant now, Outbox& out);

Phase Settle(Committing&& phase, RoundData& data, Instant now, Outbox& out);
Phase On(Committing&& phase, const CommitDone& in, RoundData& data, Instant now, Outbox& out);
Phase On(Committing&& phase, const StopRequested& in, RoundData& data, Instant now, Outbox& out);

}  // namespace skerry
