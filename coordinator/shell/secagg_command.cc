#include "coordinator/shell/secagg_command.h"

#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/config/secagg_rules.h"

namespace skerry {
namespace {

std::string Json(const GraphParameters& graph, int64_t nodes) {
  return fmt::format("{{\"nodes\":{},\"degree\":{},\"threshold\":{},\"graph\":\"{}\"}}\n", nodes,
                     graph.degree, graph.threshold,
                     IsComplete(graph, nodes) ? "complete" : "harary");
}

std::string Table(const GraphParameters& graph, const GraphRequirements& wanted) {
  return fmt::format(
      "nodes       {}; the fraction {:g} of them may be corrupt, {:g} drop out\n"
      "adversary   {}\n"
      "graph       {}\n"
      "degree      {}: nodes with which each shares masks\n"
      "threshold   {}: of these, how many open a node's secrets\n"
      "\n"
      "A random graph leaks with a probability of at most 2^-{} and cannot be unmasked with one "
      "of\n"
      "at most 2^-{}. Jobs ask for 2^-{} and use the complete graph for up to {} nodes.\n",
      wanted.nodes, wanted.corrupt, wanted.dropout,
      wanted.adversary == Adversary::kSemiHonest
          ? "semi_honest: the coordinator follows the protocol and reads along"
          : "semi_malicious: the coordinator draws the graph honestly and cheats afterwards",
      IsComplete(graph, wanted.nodes) ? "complete" : "harary", graph.degree, graph.threshold,
      wanted.security_bits, wanted.failure_bits, kGraphSecurityBits, kCompleteGraphNodesMax);
}

}  // namespace

int SecAggCommand(const SecAggCommandOptions& options) {
  const absl::StatusOr<GraphParameters> graph = FindGraphParameters(options.wanted);
  if (!graph.ok()) {
    LogError(std::string(graph.status().message()));
    return 2;
  }
  const std::string text =
      options.is_json ? Json(*graph, options.wanted.nodes) : Table(*graph, options.wanted);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace skerry
