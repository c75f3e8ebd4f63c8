// Everything run.db knows about a run, read at one moment: for the report, `status` of a run that
// has stopped, and `run --replay`. Reading never blocks a coordinator that is at work, and works
// on a read-only folder.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "coordinator/round/records.h"

namespace skerry {

// What is fixed when a run is created.
struct RunInfo {
  RunId run_id;
  std::string job_name;   // for people: the job file's name without its extension
  std::string job_yaml;   // resolved, every default filled in
  std::string guarantee;  // what the run promises about privacy, in one sentence
  uint64_t seed = 0;
  std::string roster_sha256;
  std::string initial_sha256;  // of model version 0
  std::string software_version;
  uint64_t rounds_planned = 0;
  uint64_t keep_models = 1;  // newest checkpoints kept, at least 1
  int64_t started_unix_ms = 0;
  // Nobody but the coordinator's user may read run.db: it says who was in secret cohorts. Heeded
  // when the run is created, not kept.
  bool is_for_owner_only = false;
};

// What the shell measured in one round; the machine knows neither bytes nor sockets.
struct RoundTraffic {
  RoundId round;
  uint64_t bytes_sent = 0;  // by the coordinator, to all nodes
  uint64_t bytes_received = 0;
  Duration wall{};
};

struct RoundHistory {
  RoundCommitted committed;  // without checkpoint and aggregate
  RoundTraffic traffic;      // zeros if none was recorded
  int64_t started_unix_ms = 0;
  int64_t committed_unix_ms = 0;
};

struct TimedEvent {
  EventRecorded event;
  int64_t unix_ms = 0;
};

struct SessionHistory {
  int64_t started_unix_ms = 0;
  std::string software_version;
};

struct RunHistory {
  std::string run_dir;
  RunInfo info;
  std::optional<JobConfig> job;            // info.job_yaml; none if this program cannot read it
  RunStatus status = RunStatus::kRunning;  // as recorded: a killed run still says running
  std::string status_detail;
  std::optional<int64_t> ended_unix_ms;
  std::vector<SessionHistory> sessions;  // starts of a coordinator, the first one included
  std::vector<RoundHistory> rounds;      // committed, 1 first
  std::optional<RoundStarted> open_round;
  std::map<uint64_t, EvaluationRecorded> evaluations;            // by version
  std::vector<BudgetCharged> charges;                            // the privacy ledger
  std::vector<TimedEvent> events;                                // as they happened
  std::vector<std::pair<RoundId, CheckpointFiles>> checkpoints;  // that are kept, oldest first
};

absl::StatusOr<RunHistory> ReadRunHistory(const std::string& run_dir);

// Per committed round, 1 first, the nodes whose updates were accepted, sorted.
std::vector<std::vector<NodeId>> Survivors(const RunHistory& history);

}  // namespace skerry
