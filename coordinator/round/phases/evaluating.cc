#include "coordinator/round/phases/evaluating.h"

#include <utility>

#include "coordinator/round/phases.h"

namespace skerry {
namespace {

bool IsDue(const RoundPolicy& policy, uint64_t round) {
  if (round == 0) return false;  // the initial model
  const auto every = static_cast<uint64_t>(policy.evaluation.every_rounds);
  return round == RoundCount(policy) || (every > 0 && round % every == 0);
}

}  // namespace

void EvaluateIfDue(RoundData& data, Outbox& out) {
  const ModelVersion version(data.last_committed.value());
  if (version <= data.last_evaluated || !IsDue(data.policy, version.value())) return;
  data.evaluation_outstanding = version;
  out.work.emplace_back(EvaluateWork{.version = version});
}

Phase EndWithinBudget(RoundData& data, Instant now, Outbox& out) {
  const ModelVersion version(data.last_committed.value());
  if (version.value() > 0 && version > data.last_evaluated && !data.evaluation_outstanding) {
    data.evaluation_outstanding = version;
    out.work.emplace_back(EvaluateWork{.version = version});
  }
  return Settle(Evaluating{}, data, now, out);
}

Phase Settle(Evaluating&& phase, RoundData& data, Instant, Outbox& out) {
  if (data.evaluation_outstanding) return std::move(phase);
  if (data.last_committed.value() < RoundCount(data.policy)) return Exhaust(data, out);
  return Complete(data, out);
}

}  // namespace skerry
