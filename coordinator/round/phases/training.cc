#include "coordinator/round/phases/training.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "coordinator/round/key_exchange.h"
#include "coordinator/round/phases.h"
#include "coordinator/round/waiting.h"

namespace skerry {
namespace {

// Nodes that have not said that they take no part in the job.
size_t CountAble(const RoundData& data) {
  return static_cast<size_t>(
      std::count_if(data.nodes.begin(), data.nodes.end(), [](const auto& entry) {
        return entry.second.job_failure == proto::REJECT_REASON_UNSPECIFIED;
      }));
}

}  // namespace

Instant NextDeadline(const Training&, const RoundData& data) {
  const Instant end = data.last_progress + data.policy.round.wait_timeout;
  return std::min(end, NextKeyCut(data).value_or(end));
}

Phase Settle(Training&& phase, RoundData& data, Instant now, Outbox& out) {
  if (data.secagg) AdvanceKeyExchange(data, now, out);
  if (const std::optional<NodeId> lost = FindLostNonce(data)) {
    return AbortAttempt(fmt::format("the ring cannot be drawn without the nonce of {}: {}",
                                    lost->value(), DescribeLost(data)),
                        data, now, out);
  }
  const uint32_t accepted = data.accepted_count();
  if (accepted >= data.quorum) return StartCollecting(data, now, out);
  const uint32_t reachable = accepted + data.outstanding_count();
  if (reachable >= data.quorum) return std::move(phase);
  // Once keys were exchanged another attempt may do better: it begins with everyone again.
  if (data.secagg && data.secagg->stage() != SecAggServer::Stage::kKeys) {
    return AbortAttempt(fmt::format("it needs {} updates and can get {} at most: {}", data.quorum,
                                    reachable, DescribeLost(data)),
                        data, now, out);
  }
  std::string detail = fmt::format("round {} needs {} updates and can get {} at most: {}",
                                   data.round.value(), data.quorum, reachable, DescribeLost(data));
  const auto& secret = data.policy.secret_cohorts;
  if (secret != nullptr) {
    // A cohort that is drawn stays as it is, so a run that failed for it would fail again for ever.
    const size_t able = CountAble(data);
    if (able >= secret->able_min) return SkipRound(std::move(detail), data, now, out);
    detail += fmt::format("; {} of {} nodes can do this job, and most cohorts would be too small",
                          able, data.nodes.size());
  }
  return Fail(std::move(detail), data, out);
}

Phase On(Training&& phase, const DeadlineReached&, RoundData& data, Instant now, Outbox& out) {
  const Milliseconds wait = data.policy.round.wait_timeout;
  if (data.secagg) CutSilentKeys(data, now, out);
  if (now < data.last_progress + wait) return Settle(std::move(phase), data, now, out);
  return Fail(
      fmt::format("round {} has {} of the {} updates it needs and saw no progress for {:.0f} "
                  "s; {}. Resume the run when they are back",
                  data.round.value(), data.accepted_count(), data.quorum, Seconds(wait),
                  DescribeWait(phase, data, now)),
      data, out);
}

}  // namespace skerry
