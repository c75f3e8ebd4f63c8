#include "common/config/secagg_rules.h"

#include "absl/status/statusor.h"
#include "common/config/graph_parameters.h"

namespace skerry {

SessionShape ShapeOfSession(const SecAggConfig& secagg, int64_t node_count) {
  if (node_count > kCompleteGraphNodesMax) {
    const auto all = static_cast<double>(node_count);
    const absl::StatusOr<GraphParameters> graph =
        FindGraphParameters({.nodes = node_count,
                             .corrupt = static_cast<double>(secagg.colluders) / all,
                             .dropout = static_cast<double>(secagg.dropout_tolerance) / all,
                             .adversary = Adversary::kSemiMalicious,
                             .security_bits = kGraphSecurityBits});
    if (graph.ok() && !IsComplete(*graph, node_count)) {
      return {
          .degree = graph->degree,
          .threshold = graph->threshold,
          .survivors_min = std::max(secagg.min_survivors, node_count - secagg.dropout_tolerance),
          .is_complete = false};
    }
  }
  const int64_t threshold = SessionThreshold(node_count, secagg.colluders);
  return {.degree = node_count - 1,
          .threshold = threshold,
          .survivors_min = std::max(secagg.min_survivors, threshold),
          .is_complete = true};
}

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
  return std::max(round.quorum, ShapeOfSession(secagg, node_count).survivors_min);
}

}  // namespace skerry
