#include "coordinator/shell/guarantee.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

#include "common/config/secagg_rules.h"

namespace skerry {
namespace {

constexpr size_t kColumns = 100;

}  // namespace

std::string GuaranteeOf(const JobConfig& job) {
  if (!job.secagg.enabled) {
    return "None: this job has neither secure aggregation nor differential privacy, and the "
           "coordinator can see every node's update. Data itself never leaves a node.";
  }
  // A coordinator that cheats may begin a session with fewer nodes than the job says, but not with
  // so few that no two of them are honest.
  const int64_t colluders = job.secagg.colluders;
  const int64_t fewest = std::max(kSessionNodesMin, colluders + 2);
  const int64_t updates = std::max(SessionThreshold(fewest, colluders), job.secagg.min_survivors);
  const bool is_sparse = !ShapeOfSession(job.secagg, InvitedCount(job.round)).is_complete;
  const std::string sparse =
      is_sparse ? fmt::format(
                      " With more than {} nodes masks go along a sparse graph: there the "
                      "claim is semi-malicious, that is for a coordinator that cannot "
                      "choose the random ring, which every node helps to draw; it fails "
                      "with probability 2^-{} at most in an attempt.",
                      kCompleteGraphNodesMax, kGraphSecurityBits)
                : "";
  return fmt::format(
      "Secure aggregation, against a coordinator that breaks the protocol and up to {} {} with "
      "it. They learn the sum of at least {} updates, at least {} of them of honest "
      "nodes (more where a site's policy asks for more), the sum of the weights{}, who took part "
      "and when. Of a single update they learn nothing else, if each site's own roster is right.{} "
      "Data itself never leaves a node. Not promised: the sum and the model are not private in "
      "themselves (there is no differential privacy; two sums over almost the same nodes, of two "
      "rounds or of a round's at most three attempts, differ by little more than one update), a "
      "malicious node can poison the sum or make "
      "a round fail, and a malicious coordinator can hold a round up or announce a wrong model.",
      colluders, colluders == 1 ? "node that conspires" : "nodes that conspire", updates,
      updates - colluders, job.evaluation.on_nodes ? " and of the nodes' metrics" : "", sparse);
}

std::string GuaranteeComment(const JobConfig& job) {
  std::istringstream words(GuaranteeOf(job));
  std::string text;
  std::string line = "# guarantee:";
  for (std::string word; words >> word;) {
    if (line.size() + 1 + word.size() > kColumns) {
      text += line + "\n";
      line = "#  ";
    }
    line += " " + word;
  }
  return text + line + "\n";
}

}  // namespace skerry
