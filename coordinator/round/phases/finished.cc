#include "coordinator/round/phases/finished.h"

#include <utility>

#include <fmt/format.h>

#include "coordinator/round/notices.h"
#include "coordinator/round/phases.h"

namespace skerry {
namespace {

Phase End(RunStatus status, std::string detail, RoundData& data, Outbox& out) {
  data.ended = RunEnded{.status = status, .detail = std::move(detail)};
  out.persist.emplace_back(*data.ended);
  return Finished{};
}

}  // namespace

Phase Complete(RoundData& data, Outbox& out) {
  SendJobEnd(data, /*completed=*/true, "", out);
  return End(RunStatus::kCompleted, "", data, out);
}

Phase Exhaust(RoundData& data, Outbox& out) {
  SendJobEnd(data, /*completed=*/true, "", out);
  return End(RunStatus::kBudgetExhausted,
             fmt::format("the privacy budget is spent after {} of {} rounds: {} releases were "
                         "charged, attempts that failed included",
                         data.last_committed.value(), RoundCount(data.policy), data.charge_count),
             data, out);
}

Phase Fail(std::string detail, RoundData& data, Outbox& out) {
  out.uploads.emplace_back(DropAllUploads{});
  // Everybody is told, and the details name nodes of the cohort.
  const bool is_secret = data.policy.secret_cohorts != nullptr;
  SendJobEnd(data, /*completed=*/false, is_secret ? "the run failed" : detail, out);
  return End(RunStatus::kFailed, std::move(detail), data, out);
}

Phase Interrupt(std::string detail, RoundData& data, Outbox& out) {
  return End(RunStatus::kInterrupted, std::move(detail), data, out);
}

}  // namespace skerry
