#include "coordinator/round/phases/training.h"

#include <utility>

#include <fmt/format.h>

#include "coordinator/round/phases.h"
#include "coordinator/round/waiting.h"

namespace skerry {

Phase Settle(Training&& phase, RoundData& data, Instant now, Outbox& out) {
  const uint32_t accepted = data.accepted_count();
  if (accepted >= data.quorum) return StartCollecting(data, now, out);
  const uint32_t reachable = accepted + data.outstanding_count();
  if (reachable >= data.quorum) return std::move(phase);
  return Fail(fmt::format("round {} needs {} updates and can get {} at most: {}",
                          data.round.value(), data.quorum, reachable, DescribeLost(data)),
              data, out);
}

Phase On(Training&& phase, const DeadlineReached&, RoundData& data, Instant now, Outbox& out) {
  const Milliseconds wait = data.policy.round.wait_timeout;
  if (now < data.last_progress + wait) return std::move(phase);
  return Fail(
      fmt::format("round {} has {} of the {} updates it needs and saw no progress for {:.0f} "
                  "s; missing: {}. Resume the run when they are back",
                  data.round.value(), data.accepted_count(), data.quorum, Seconds(wait),
                  DescribeOutstanding(data, now)),
      data, out);
}

}  // namespace skerry
