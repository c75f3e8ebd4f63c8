#include "common/secagg/job_encoding.h"

namespace skerry {

absl::StatusOr<UpdateEncoding> EncodingOf(const JobConfig& job, size_t parameter_count) {
  return UpdateEncoding::Create(
      UpdateLayout{.parameter_count = parameter_count, .has_metrics = job.evaluation.on_nodes},
      EncodingLimits{.node_count_max = InvitedCount(job.round),
                     .range = job.encoding.range,
                     .weight_cap = job.encoding.weight_cap});
}

}  // namespace skerry
