// How many nodes secure aggregation needs. Follows from the job alone, so coordinator, agents and
// `check` agree, and each number has one definition.
//
// Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS
// 2017), against a malicious coordinator: n nodes exchange keys, t of them open the sum. Above 64
// nodes Bell et al., "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead" (CCS 2020).
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/config/job_config.h"

namespace skerry {

// Up to so many nodes every one shares a mask with every other. Beyond, that costs more than a
// sparse graph (graph_parameters.h).
inline constexpr int64_t kCompleteGraphNodesMax = 64;

// With two nodes each can subtract its own update from the sum.
inline constexpr int64_t kSessionNodesMin = 3;

// A session's keys travel in one message.
inline constexpr int64_t kSessionNodesMax = 1024;

// The masked integers' width.
inline constexpr int64_t kRingBits = 32;

// t = floor((n + colluders) / 2) + 1, the smallest number with 2 t > n + colluders: any two sets of
// t nodes share one that does not conspire, and that one helps to open a single sum only.
constexpr int64_t SessionThreshold(int64_t node_count, int64_t colluders) {
  return (node_count + colluders) / 2 + 1;
}

// The graph along which the members of a session share masks and secrets.
struct SessionShape {
  int64_t degree = 0;         // partners of each member
  int64_t threshold = 0;      // shares that open a member's secret
  int64_t survivors_min = 0;  // updates below which nothing is opened
  bool is_complete = false;   // every two members are partners
  bool operator==(const SessionShape&) const = default;
};

// Statistical security of a sparse graph, in bits: with a probability of 2^-80 at most, over the
// drawing of the ring, it gives away more than the sum.
inline constexpr int kGraphSecurityBits = 80;

// The shape of a session of `node_count` nodes. Complete up to kCompleteGraphNodesMax, and above
// where no sparse graph holds: then threshold is SessionThreshold. Else sparse, and survivors_min
// lets no more than secagg.dropout_tolerance leave, as the graph was chosen for so many.
SessionShape ShapeOfSession(const SecAggConfig& secagg, int64_t node_count);

// How many nodes of a roster are assumed to conspire with the coordinator if nobody says more:
// ceil(N / 3) - 1, fewer than a third.
constexpr int64_t DefaultColluders(int64_t roster_nodes) {
  return std::max<int64_t>((roster_nodes + 2) / 3 - 1, 0);
}

// The smallest number of nodes whose keys must be there before a session may go on without the rest
// of `invited`: enough for the round's quorum, for the job's minimum of survivors, and for
// secagg.dropout_tolerance nodes to leave afterwards. `invited` if no smaller number is.
int64_t SmallestSession(const RoundConfig& round, const SecAggConfig& secagg, int64_t invited);

// Updates without which the sum of a session of `node_count` nodes is not opened.
int64_t UpdatesNeeded(const RoundConfig& round, const SecAggConfig& secagg, int64_t node_count);

}  // namespace skerry
