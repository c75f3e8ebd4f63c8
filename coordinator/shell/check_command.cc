#include "coordinator/shell/check_command.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/status.h"
#include "common/config/job_loader.h"
#include "common/config/job_printer.h"
#include "common/config/secagg_rules.h"
#include "common/ml/model.h"
#include "common/ml/trainer.h"
#include "common/secagg/job_encoding.h"

namespace skerry {
namespace {

// The guarantee in words: what it is, against whom, and what it is not.
std::string GuaranteeOf(const JobConfig& job) {
  if (!job.secagg.enabled) {
    return "# guarantee: none. This job has neither secure aggregation nor differential privacy: "
           "the\n"
           "#   coordinator can see every node's update. Data itself never leaves a node.\n";
  }
  // A coordinator that cheats may begin a session with fewer nodes than the job says, but not with
  // so few that no two of them are honest.
  const int64_t colluders = job.secagg.colluders;
  const int64_t fewest = std::max(kSessionNodesMin, colluders + 2);
  const int64_t updates = std::max(SessionThreshold(fewest, colluders), job.secagg.min_survivors);
  return fmt::format(
      "# guarantee: secure aggregation, against a coordinator that breaks the protocol and up to "
      "{}\n"
      "#   nodes that conspire with it. They learn the sum of at least {} updates, at least {} of\n"
      "#   them of honest nodes (more where a site's policy asks for more), the sum of the\n"
      "#   weights{}, who took part and when. Of a single update they learn nothing else, if\n"
      "#   each site's own roster is right. Data itself never leaves a node.\n"
      "#   Not promised: the sum and the model are not private in themselves (there is no\n"
      "#   differential privacy), a malicious node can poison the sum or make a round fail, and a\n"
      "#   malicious coordinator can hold a round up or announce a wrong model.\n",
      colluders, updates, updates - colluders,
      job.evaluation.on_nodes ? " and of the nodes' metrics" : "");
}

// How many nodes secure aggregation needs; empty without it.
std::string SessionOf(const JobConfig& job) {
  if (!job.secagg.enabled) return "";
  const int64_t nodes = InvitedCount(job.round);
  const int64_t needed = UpdatesNeeded(job.round, job.secagg, nodes);
  const int64_t smallest = SmallestSession(job.round, job.secagg, nodes);
  return fmt::format(
      "# secagg: n = {} nodes exchange keys, t = {} of them open the sum; each shares masks with\n"
      "#   k = {} others (complete graph). {} updates are needed, so {} nodes may drop out. Nodes "
      "whose\n"
      "#   keys are late are left out while {} remain, of which {} open the sum.\n",
      nodes, SessionThreshold(nodes, job.secagg.colluders), nodes - 1, needed,
      std::max<int64_t>(nodes - needed, 0), smallest,
      SessionThreshold(smallest, job.secagg.colluders));
}

// What the numbers of a job mean, as comments below it: the whole output is still a job file.
absl::StatusOr<std::string> Consequences(const JobConfig& job) {
  SKERRY_ASSIGN_OR_RETURN(const ParameterLayoutPtr layout, LayoutOf(job.model));
  SKERRY_ASSIGN_OR_RETURN(const UpdateEncoding encoding, EncodingOf(job, layout->element_count()));
  SKERRY_RETURN_IF_ERROR(Trainer::Create(job, {}).status());
  const double upload_mb =
      static_cast<double>(encoding.layout().size() * sizeof(RingElement)) / 1e6;
  return fmt::format(
      "# model: {} parameters in {} tensors; a node's upload has {:.3g} MB\n"
      "# round: {} nodes are invited, {} updates complete it, {} are needed\n"
      "# encoding: updates are rounded to multiples of 2^-{} ({:.2g}) within +-{:g}\n"
      "{}{}",
      layout->element_count(), layout->tensors().size(), upload_mb, InvitedCount(job.round),
      CohortSize(job.round),
      job.secagg.enabled ? UpdatesNeeded(job.round, job.secagg, InvitedCount(job.round))
                         : job.round.quorum,
      encoding.scale_bits(), 1.0 / static_cast<double>(uint64_t{1} << encoding.scale_bits()),
      job.encoding.range, SessionOf(job), GuaranteeOf(job));
}

}  // namespace

int CheckCommand(const std::string& job_path, const std::vector<std::string>& overrides) {
  const absl::StatusOr<JobConfig> job = LoadJob(job_path, overrides);
  if (!job.ok()) {
    LogError(std::string(job.status().message()));
    return 2;
  }
  const absl::StatusOr<std::string> consequences = Consequences(*job);
  if (!consequences.ok()) {
    LogError(fmt::format("{}: {}", job_path, std::string(consequences.status().message())));
    return 2;
  }
  std::fputs(ResolvedYaml(*job).c_str(), stdout);
  std::fputs(consequences->c_str(), stdout);
  return 0;
}

}  // namespace skerry
