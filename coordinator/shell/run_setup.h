// From what the user asked for to a run that can begin or go on: the job is read and checked, the
// run directory made or opened, the newest model restored. Nothing is started when this fails.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/identity/roster.h"
#include "common/secagg/fixed_point.h"
#include "common/tensor/parameter_vector.h"
#include "coordinator/round/records.h"
#include "coordinator/round/round_policy.h"
#include "coordinator/shell/aggregator.h"
#include "coordinator/store/run_store.h"

namespace skerry {

// `skerry-coordinator run`, as parsed from the command line.
struct RunOptions {
  std::string job_path;                // empty with --replay
  std::vector<std::string> overrides;  // --set
  std::string run_dir;                 // empty: runs/<time>
  bool is_resume = false;
  bool is_rehearsal = false;  // one round in which nothing is learned
  std::optional<std::string> replay_dir;
  std::optional<std::string> listen;  // in place of transport.listen
  std::string keys_folder;
  std::string roster_path;
  std::optional<std::string> endpoint_path;  // where to write the address that agents dial
  bool is_json = false;
};

struct PreparedRun {
  JobConfig job;
  RunInfo info;
  ParameterLayoutPtr layout;
  UpdateEncoding encoding;
  RoundPolicy policy;
  std::unique_ptr<RunStore> store;
  std::unique_ptr<Aggregator> aggregator;
  RestoredRun restored;
  SharedModel model;  // version restored.last_committed
  // --replay: what the recorded run ended with.
  std::optional<std::string> replayed_sha256;
};

// kInvalidArgument and kNotFound are errors of the user's (exit 2), others are failures (exit 1).
absl::StatusOr<PreparedRun> PrepareRun(const RunOptions& options, const Roster& roster,
                                       int64_t wall_unix_ms);

}  // namespace skerry
