// How many neighbours a node needs if masks are shared along a sparse random graph instead of among
// all nodes, and how many of them must help to open its secrets: Bell et al., "Secure Single-Server
// Aggregation with (Poly)Logarithmic Overhead" (CCS 2020), with the rule of Google's
// federated-compute library (graph_parameter_finder).
//
// The graph is a Harary graph over a random ring: a node's neighbours are the degree/2 nodes on
// either side. Pure arithmetic.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

namespace skerry {

inline constexpr int64_t kGraphNodesMax = 1'000'000;

enum class Adversary {
  kSemiHonest,     // the coordinator follows the protocol and reads along
  kSemiMalicious,  // it draws the graph honestly and cheats afterwards
};

struct GraphRequirements {
  int64_t nodes = 0;     // 3..kGraphNodesMax
  double corrupt = 0.0;  // [0, 1): fraction of the nodes that conspire with the coordinator
  double dropout = 0.0;  // [0, 1): fraction that may leave
  Adversary adversary = Adversary::kSemiMalicious;
  int security_bits = 40;  // a graph leaks with a probability of 2^-security_bits at most
  int failure_bits = 20;   // and cannot be unmasked with one of 2^-failure_bits at most
};

struct GraphParameters {
  int64_t degree = 0;     // even, or nodes - 1
  int64_t threshold = 0;  // shares of a node's secret that open it
  bool operator==(const GraphParameters&) const = default;
};

inline bool IsComplete(const GraphParameters& graph, int64_t nodes) {
  return graph.degree >= nodes - 1;
}

// The smallest degree that meets the requirements. Fails with kInvalidArgument if a number is out
// of its range, and with kFailedPrecondition, with the reason, if not even the complete graph does.
absl::StatusOr<GraphParameters> FindGraphParameters(const GraphRequirements& wanted);

}  // namespace skerry
