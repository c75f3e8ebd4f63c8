// The coordinator's durable half: one run directory, one writer. What Append returned OK for
// survives kill -9 and a power cut; what it failed for has left no trace, and the caller may stop
// the run and resume it later.
//
// Owned by the shell, used from one thread. Checkpoint files themselves are written by
// checkpoint.h, on any thread, before the record that names them is appended.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/tensor/parameter_vector.h"
#include "coordinator/round/records.h"
#include "coordinator/store/run_history.h"
#include "coordinator/store/run_lock.h"
#include "coordinator/store/sqlite.h"

namespace skerry {

// What a restarted coordinator needs. The newest model is that of `base` with `replay` applied to
// it, in order, through the strategy; its SHA-256 must then be run.model_sha256.
struct RestoredStore {
  RestoredRun run;
  RoundId base_round;
  CheckpointFiles base;
  std::vector<RoundId> replay;             // ReadAggregate(round) for each
  RunStatus status = RunStatus::kRunning;  // kCompleted: there is nothing to resume
};

class RunStore {
 public:
  // Makes the directory, models/round-000000.safetensors and run.db, and takes the lock. Fails with
  // kAlreadyExists if a run is there.
  static absl::StatusOr<RunStore> Create(const std::string& run_dir, const RunInfo& info,
                                         const ParameterVector& initial_model);

  // Takes the lock and opens an existing run to continue it; checks the whole database first and
  // removes files that a crash has left without a row. `software_version` and the time are noted.
  static absl::StatusOr<RunStore> Open(const std::string& run_dir,
                                       const std::string& software_version, int64_t wall_unix_ms);

  // Makes all records durable in one transaction with one sync, or none of them. With a
  // checkpoint, checkpoints beyond keep_models and aggregates it has replaced go, and
  // model.safetensors becomes another name of its model file.
  absl::Status Append(std::span<const Record> records, int64_t wall_unix_ms,
                      const std::optional<RoundTraffic>& traffic = std::nullopt);

  // The run goes on with another job: `info`'s job, guarantee and planned rounds take the place of
  // the old ones, a completed run is running again, and `records` are appended, all in one
  // transaction.
  absl::Status Amend(const RunInfo& info, std::span<const Record> records, int64_t wall_unix_ms);

  absl::StatusOr<RestoredStore> Restore();
  absl::StatusOr<ParameterVector> ReadAggregate(RoundId round, const ParameterLayoutPtr& layout);

  // Replaces model.safetensors: for a run that ends between two checkpoints.
  absl::Status WriteLastModel(const ParameterVector& model, RoundId round);

  const std::string& run_dir() const { return run_dir_; }

 private:
  RunStore(std::string run_dir, RunLock lock, SqliteDatabase database);
  absl::Status Prepare();
  absl::Status Write(const Record& record, int64_t wall_unix_ms);
  absl::Status WriteStarted(const RoundStarted& record, int64_t wall_unix_ms);
  absl::StatusOr<std::optional<proto::SessionState>> ReadSession(const RoundStarted& round);
  absl::Status WriteSession(const SessionStored& record);
  absl::Status WriteCommitted(const RoundCommitted& record, int64_t wall_unix_ms);
  absl::Status WriteEvaluation(const EvaluationRecorded& record, int64_t wall_unix_ms);
  absl::Status WriteEvent(const EventRecorded& record, int64_t wall_unix_ms);
  absl::Status WriteEnded(const RunEnded& record, int64_t wall_unix_ms);
  absl::Status WriteTraffic(const RoundTraffic& traffic);
  absl::Status WriteCheckpointRow(RoundId round, const CheckpointFiles& files);
  absl::StatusOr<std::vector<CheckpointFiles>> DropOldCheckpoints();
  absl::Status PublishModel(const std::string& model);
  absl::Status RemoveStrayFiles();

  std::string run_dir_;
  RunLock lock_;
  SqliteDatabase database_;  // before its statements: they are destroyed first
  SqliteStatement start_round_;
  SqliteStatement commit_round_;
  SqliteStatement store_session_;
  SqliteStatement drop_sessions_;
  SqliteStatement add_checkpoint_;
  SqliteStatement list_checkpoints_;
  SqliteStatement drop_checkpoints_;
  SqliteStatement add_aggregate_;
  SqliteStatement drop_aggregates_;
  SqliteStatement add_evaluation_;
  SqliteStatement add_metric_;
  SqliteStatement add_event_;
  SqliteStatement end_run_;
  SqliteStatement add_traffic_;
  uint64_t keep_models_ = 1;
};

}  // namespace skerry
