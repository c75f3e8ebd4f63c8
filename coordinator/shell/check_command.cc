#include "coordinator/shell/check_command.h"

#include <cstdio>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/status.h"
#include "common/config/job_loader.h"
#include "common/config/job_printer.h"
#include "common/ml/model.h"
#include "common/ml/trainer.h"
#include "common/secagg/job_encoding.h"

namespace skerry {
namespace {

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
      "# guarantee: none. This job has neither secure aggregation nor differential privacy: the\n"
      "#   coordinator can see every node's update. Data itself never leaves a node.\n",
      layout->element_count(), layout->tensors().size(), upload_mb, InvitedCount(job.round),
      CohortSize(job.round), job.round.quorum, encoding.scale_bits(),
      1.0 / static_cast<double>(uint64_t{1} << encoding.scale_bits()), job.encoding.range);
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
