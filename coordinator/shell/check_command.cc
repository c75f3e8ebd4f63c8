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
#include "coordinator/shell/guarantee.h"

namespace skerry {
namespace {

// How many nodes secure aggregation needs; empty without it.
std::string SessionOf(const JobConfig& job) {
  if (!job.secagg.enabled) return "";
  const int64_t nodes = InvitedCount(job.round);
  const int64_t needed = UpdatesNeeded(job.round, job.secagg, nodes);
  const int64_t smallest = SmallestSession(job.round, job.secagg, nodes);
  const SessionShape shape = ShapeOfSession(job.secagg, nodes);
  const std::string graph =
      shape.is_complete ? fmt::format(
                              "t = {} of them open the sum; each shares masks\n"
                              "#   with k = {} others (complete graph)",
                              shape.threshold, shape.degree)
                        : fmt::format(
                              "each shares masks with k = {} others, next\n"
                              "#   to it on a random ring (Harary graph), of which t = {} open its "
                              "secrets; the graph leaks with\n#   a probability of 2^-{} at most",
                              shape.degree, shape.threshold, kGraphSecurityBits);
  return fmt::format(
      "# secagg: n = {} nodes exchange keys, {}.\n"
      "#   {} updates are needed, so {} may drop out. Nodes whose keys are late are left out "
      "while\n"
      "#   {} remain; {} of these are needed then.\n",
      nodes, graph, needed, std::max<int64_t>(nodes - needed, 0), smallest,
      UpdatesNeeded(job.round, job.secagg, smallest));
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
      job.encoding.range, SessionOf(job), GuaranteeComment(job));
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
