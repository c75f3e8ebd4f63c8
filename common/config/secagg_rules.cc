#include "common/config/secagg_rules.h"

namespace skerry {

int64_t SmallestSession(const RoundConfig& round, const SecAggConfig& secagg, int64_t invited) {
  // n - t does not fall as n grows, so the first number that fits is the smallest.
  int64_t count = std::max({round.quorum, secagg.min_survivors, kSessionNodesMin});
  while (count < invited &&
         count - SessionThreshold(count, secagg.colluders) < secagg.dropout_tolerance) {
    ++count;
  }
  return std::min(count, invited);
}

int64_t UpdatesNeeded(const RoundConfig& round, const SecAggConfig& secagg, int64_t node_count) {
  return std::max(
      {round.quorum, secagg.min_survivors, SessionThreshold(node_count, secagg.colluders)});
}

}  // namespace skerry
