// The survivors are fixed. The worker opens the sum if it is masked, decodes it, applies the
// strategy and writes the checkpoint; CommitDone ends the round. A request to stop waits for it.
#pragma once

#include <optional>

#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/round_data.h"

namespace skerry {

struct Phase;

struct Committing {
  Instant since{};
  std::optional<StopRequested> stop;
};

// Orders the commit of the accepted updates. If the coordinator adds the noise, their release is
// charged in the same outbox at the latest.
Phase StartCommit(RoundData& data, Instant now, Outbox& out);
// The same, of a sum that was restored with its noise.
Phase RestartCommit(RoundData& data, Instant now, Outbox& out);

Phase Settle(Committing&& phase, RoundData& data, Instant now, Outbox& out);
Phase On(Committing&& phase, const CommitDone& in, RoundData& data, Instant now, Outbox& out);
Phase On(Committing&& phase, const StopRequested& in, RoundData& data, Instant now, Outbox& out);

}  // namespace skerry
