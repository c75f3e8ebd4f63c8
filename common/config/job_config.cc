#include "common/config/job_config.h"

#include <algorithm>
#include <cmath>

namespace skerry {

bool IsAdaptive(StrategyName name) {
  return name == StrategyName::kFedAdam || name == StrategyName::kFedYogi ||
         name == StrategyName::kFedAdagrad;
}

int64_t CohortSize(const RoundConfig& round) {
  const double cohort = round.cohort_fraction * static_cast<double>(round.nodes);
  return std::clamp<int64_t>(std::llround(cohort), 1, std::max<int64_t>(round.nodes, 1));
}

int64_t InvitedCount(const RoundConfig& round) {
  const int64_t cohort = CohortSize(round);
  // The small step down keeps 10 * 1.1, which is 11.000000000000002 in binary, at 11.
  const double invited = std::ceil(static_cast<double>(cohort) * round.over_selection - 1e-9);
  return std::clamp<int64_t>(static_cast<int64_t>(invited), cohort, std::max(round.nodes, cohort));
}

}  // namespace skerry
