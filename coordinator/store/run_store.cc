#include "coordinator/store/run_store.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/tensor/safetensors.h"
#include "coordinator/store/checkpoint.h"
#include "coordinator/store/privacy_ledger.h"
#include "coordinator/store/run_row.h"
#include "coordinator/store/schema.h"

namespace skerry {
namespace {

// WAL with FULL: every commit is one sequential write and one sync of the log, and survives a power
// cut. Overwritten pages need no wiping: they held what is in the files beside it anyway.
constexpr const char* kPragmas =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;";

constexpr const char* kLastModel = "model.safetensors";

int64_t Signed(uint64_t value) { return static_cast<int64_t>(value); }
int64_t Row(RoundId round) { return Signed(round.value()); }

absl::Status CheckWhole(SqliteDatabase& database, const std::string& run_dir) {
  SKERRY_ASSIGN_OR_RETURN(SqliteStatement check, database.Prepare("PRAGMA quick_check(1)"));
  SKERRY_RETURN_IF_ERROR(check.Step().status());
  const std::string result = check.Text(0);
  if (result == "ok") return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("{} is damaged: {}; the models beside it are whole files and can still be used",
                  DatabasePath(run_dir), result));
}

// Best effort: a file that stays costs space only, and the next Open tries again.
void RemoveFile(const std::string& path) { ::unlink(path.c_str()); }

}  // namespace

RunStore::RunStore(std::string run_dir, RunLock lock, SqliteDatabase database)
    : run_dir_(std::move(run_dir)), lock_(std::move(lock)), database_(std::move(database)) {}

absl::StatusOr<RunStore> RunStore::Create(const std::string& run_dir, const RunInfo& info,
                                          const ParameterVector& initial_model) {
  SKERRY_ASSERT(info.keep_models >= 1);
  SKERRY_RETURN_IF_ERROR(MakeDirectories(run_dir));
  SKERRY_ASSIGN_OR_RETURN(RunLock lock, RunLock::Acquire(run_dir));
  SKERRY_ASSIGN_OR_RETURN(SqliteDatabase database,
                          SqliteDatabase::Open(DatabasePath(run_dir), SqliteMode::kCreate));
  // Before there is anything in it; SQLite gives its log the same permissions.
  if (info.is_for_owner_only && ::chmod(DatabasePath(run_dir).c_str(), 0600) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot keep {} from others", DatabasePath(run_dir)));
  }
  SKERRY_ASSIGN_OR_RETURN(const bool has_run, HasRun(database));
  if (has_run) {
    return absl::AlreadyExistsError(fmt::format(
        "{} already holds a run; continue it with --resume or choose another --run-dir", run_dir));
  }
  SKERRY_ASSIGN_OR_RETURN(
      const CheckpointFiles files,
      WriteCheckpoint(run_dir, {RoundId(0), &initial_model, nullptr, {{"round", "0"}}}));
  SKERRY_RETURN_IF_ERROR(database.Execute(kPragmas));
  {
    SKERRY_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(database));
    SKERRY_RETURN_IF_ERROR(CreateSchema(database));
    SKERRY_RETURN_IF_ERROR(InsertRun(database, info));
    SKERRY_RETURN_IF_ERROR(InsertSession(database, info.software_version, info.started_unix_ms));
    SKERRY_ASSIGN_OR_RETURN(SqliteStatement insert,
                            database.Prepare("INSERT INTO checkpoint VALUES (0, ?, '')"));
    SKERRY_RETURN_IF_ERROR(insert.Bind(1, files.model).Run());
    SKERRY_RETURN_IF_ERROR(transaction.Commit());
  }
  SKERRY_RETURN_IF_ERROR(SyncDirectory(run_dir));
  RunStore store(run_dir, std::move(lock), std::move(database));
  SKERRY_RETURN_IF_ERROR(store.Prepare());
  return store;
}

absl::StatusOr<RunStore> RunStore::Open(const std::string& run_dir,
                                        const std::string& software_version, int64_t wall_unix_ms) {
  if (!std::filesystem::exists(DatabasePath(run_dir))) {
    return absl::NotFoundError(
        fmt::format("{} is missing: there is no run to continue", DatabasePath(run_dir)));
  }
  SKERRY_ASSIGN_OR_RETURN(RunLock lock, RunLock::Acquire(run_dir));
  SKERRY_ASSIGN_OR_RETURN(SqliteDatabase database,
                          SqliteDatabase::Open(DatabasePath(run_dir), SqliteMode::kReadWrite));
  SKERRY_RETURN_IF_ERROR(CheckSchema(database, run_dir));
  SKERRY_RETURN_IF_ERROR(CheckWhole(database, run_dir));
  SKERRY_RETURN_IF_ERROR(database.Execute(kPragmas));
  SKERRY_RETURN_IF_ERROR(AddNewTables(database));
  SKERRY_RETURN_IF_ERROR(BeginSession(database, software_version, wall_unix_ms));
  RunStore store(run_dir, std::move(lock), std::move(database));
  SKERRY_RETURN_IF_ERROR(store.Prepare());
  SKERRY_RETURN_IF_ERROR(store.RemoveStrayFiles());
  return store;
}

absl::Status RunStore::Prepare() {
  const std::pair<SqliteStatement*, std::string_view> statements[] = {
      {&start_round_,
       "INSERT INTO round (round, attempt, invited, started_unix_ms) VALUES (?1, ?2, ?3, ?4)"
       " ON CONFLICT (round) DO UPDATE SET attempt = ?2, invited = ?3"
       " WHERE committed_unix_ms IS NULL"},
      {&commit_round_,
       "UPDATE round SET attempt = ?2, invited = NULL, committed_unix_ms = ?3, participants = ?4,"
       " model_sha256 = ?5, weight_sum = ?6, clamped_sum = ?7, update_norm = ?8,"
       " node_examples = ?9, node_correct = ?10, node_loss_sum = ?11, until_quorum_ns = ?12,"
       " until_closed_ns = ?13, committing_ns = ?14"
       " WHERE round = ?1 AND committed_unix_ms IS NULL"},
      {&store_session_,
       "INSERT OR REPLACE INTO secagg_session (round, attempt, state) VALUES (?, ?, ?)"},
      {&drop_sessions_, "DELETE FROM secagg_session WHERE round <= ?"},
      {&add_checkpoint_, "INSERT INTO checkpoint (round, model, state) VALUES (?, ?, ?)"},
      {&list_checkpoints_, "SELECT round, model, state FROM checkpoint ORDER BY round DESC"},
      {&drop_checkpoints_, "DELETE FROM checkpoint WHERE round <= ?"},
      {&add_aggregate_, "INSERT INTO aggregate (round, data) VALUES (?, ?)"},
      {&drop_aggregates_, "DELETE FROM aggregate WHERE round <= ?"},
      {&add_evaluation_,
       "INSERT OR REPLACE INTO evaluation (version, unix_ms, examples) VALUES (?, ?, ?)"},
      {&add_metric_,
       "INSERT OR REPLACE INTO evaluation_metric (version, name, value) VALUES (?, ?, ?)"},
      {&add_event_,
       "INSERT INTO event (round, unix_ms, kind, node, detail) VALUES (?, ?, ?, ?, ?)"},
      {&end_run_, "UPDATE run SET status = ?, status_detail = ?, ended_unix_ms = ?"},
      {&add_traffic_,
       "UPDATE round SET bytes_sent = ?2, bytes_received = ?3, wall_ns = ?4 WHERE round = ?1"},
  };
  for (const auto& [statement, sql] : statements) {
    SKERRY_ASSIGN_OR_RETURN(*statement, database_.Prepare(sql));
  }
  SKERRY_ASSIGN_OR_RETURN(SqliteStatement run, database_.Prepare("SELECT keep_models FROM run"));
  SKERRY_RETURN_IF_ERROR(run.Step().status());
  keep_models_ = static_cast<uint64_t>(std::max<int64_t>(run.Integer(0), 1));
  return absl::OkStatus();
}

absl::Status RunStore::Append(std::span<const Record> records, int64_t wall_unix_ms,
                              const std::optional<RoundTraffic>& traffic) {
  std::vector<CheckpointFiles> obsolete;
  std::string newest_model;
  {
    SKERRY_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(database_));
    for (const Record& record : records) {
      SKERRY_RETURN_IF_ERROR(Write(record, wall_unix_ms));
      const auto* committed = std::get_if<RoundCommitted>(&record);
      if (committed != nullptr && committed->checkpoint.has_value()) {
        newest_model = committed->checkpoint->model;
      }
    }
    if (traffic.has_value()) SKERRY_RETURN_IF_ERROR(WriteTraffic(*traffic));
    if (!newest_model.empty()) {
      SKERRY_ASSIGN_OR_RETURN(obsolete, DropOldCheckpoints());
      // Before the commit, so that a failure leaves no half-told story. If the commit does not
      // follow, model.safetensors is one round ahead until that round is committed again.
      SKERRY_RETURN_IF_ERROR(PublishModel(newest_model));
    }
    SKERRY_RETURN_IF_ERROR(transaction.Commit());
  }
  // The rows are durable, so nothing names these files any more.
  for (const CheckpointFiles& files : obsolete) {
    RemoveFile(run_dir_ + "/" + files.model);
    if (!files.state.empty()) RemoveFile(run_dir_ + "/" + files.state);
  }
  return absl::OkStatus();
}

absl::Status RunStore::Amend(const RunInfo& info, std::span<const Record> records,
                             int64_t wall_unix_ms) {
  SKERRY_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(database_));
  SKERRY_RETURN_IF_ERROR(AmendRun(database_, info));
  for (const Record& record : records) SKERRY_RETURN_IF_ERROR(Write(record, wall_unix_ms));
  return transaction.Commit();
}

absl::Status RunStore::Write(const Record& record, int64_t wall_unix_ms) {
  if (const auto* started = std::get_if<RoundStarted>(&record)) {
    return WriteStarted(*started, wall_unix_ms);
  }
  if (const auto* session = std::get_if<SessionStored>(&record)) return WriteSession(*session);
  if (const auto* charge = std::get_if<BudgetCharged>(&record)) {
    return AppendCharge(database_, *charge, wall_unix_ms);
  }
  if (const auto* committed = std::get_if<RoundCommitted>(&record)) {
    return WriteCommitted(*committed, wall_unix_ms);
  }
  if (const auto* evaluation = std::get_if<EvaluationRecorded>(&record)) {
    return WriteEvaluation(*evaluation, wall_unix_ms);
  }
  if (const auto* event = std::get_if<EventRecorded>(&record)) {
    return WriteEvent(*event, wall_unix_ms);
  }
  return WriteEnded(std::get<RunEnded>(record), wall_unix_ms);
}

absl::Status RunStore::WriteStarted(const RoundStarted& record, int64_t wall_unix_ms) {
  const std::string invited = EncodeNodes(record.invited);
  return start_round_.Bind(1, Row(record.round))
      .Bind(2, int64_t{record.attempt.value()})
      .Bind(3, invited)
      .Bind(4, wall_unix_ms)
      .Run();
}

absl::Status RunStore::WriteSession(const SessionStored& record) {
  const std::string state = record.state.SerializeAsString();
  return store_session_.Bind(1, Row(record.round))
      .Bind(2, int64_t{record.attempt.value()})
      .Bind(3, AsBytes(state.data(), state.size()))
      .Run();
}

absl::Status RunStore::WriteCommitted(const RoundCommitted& record, int64_t wall_unix_ms) {
  SKERRY_ASSERT(record.checkpoint.has_value() != (record.aggregate != nullptr));
  SKERRY_RETURN_IF_ERROR(drop_sessions_.Bind(1, Row(record.round)).Run());
  const std::string participants = EncodeParticipants(record.participants);
  commit_round_.Bind(1, Row(record.round))
      .Bind(2, int64_t{record.attempt.value()})
      .Bind(3, wall_unix_ms)
      .Bind(4, participants)
      .Bind(5, record.model_sha256)
      .Bind(6, record.weight_sum)
      .Bind(7, record.clamped_sum)
      .Bind(8, record.update_norm)
      .Bind(12, record.timings.until_quorum.count())
      .Bind(13, record.timings.until_closed.count())
      .Bind(14, record.timings.committing.count());
  if (record.node_metrics.has_value()) {
    commit_round_.Bind(9, record.node_metrics->examples)
        .Bind(10, record.node_metrics->correct)
        .Bind(11, record.node_metrics->loss_sum);
  }
  SKERRY_RETURN_IF_ERROR(commit_round_.Run());
  if (database_.changed_count() != 1) {
    return absl::InternalError(
        fmt::format("round {} was committed without being open", record.round.value()));
  }
  if (record.checkpoint.has_value()) return WriteCheckpointRow(record.round, *record.checkpoint);

  const auto bytes = AsBytes(record.aggregate->values());
  SKERRY_RETURN_IF_ERROR(Annotate(
      add_aggregate_.Bind(1, Row(record.round)).BindZeroBlob(2, bytes.size()).Run(),
      "keeping a round's aggregate in run.db failed; with storage.checkpoint_every: 1 none is"));
  return database_.WriteBlob({"aggregate", "data", Row(record.round)}, bytes);
}

absl::Status RunStore::WriteCheckpointRow(RoundId round, const CheckpointFiles& files) {
  SKERRY_RETURN_IF_ERROR(
      add_checkpoint_.Bind(1, Row(round)).Bind(2, files.model).Bind(3, files.state).Run());
  // The checkpoint is the new base: older aggregates have nothing left to be applied to.
  return drop_aggregates_.Bind(1, Row(round)).Run();
}

absl::StatusOr<std::vector<CheckpointFiles>> RunStore::DropOldCheckpoints() {
  std::vector<CheckpointFiles> obsolete;
  int64_t newest_dropped = -1;
  for (uint64_t position = 0;; ++position) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, list_checkpoints_.Step());
    if (!is_row) break;
    if (position < keep_models_) continue;
    newest_dropped = std::max(newest_dropped, list_checkpoints_.Integer(0));
    obsolete.push_back({list_checkpoints_.Text(1), list_checkpoints_.Text(2)});
  }
  SKERRY_RETURN_IF_ERROR(drop_checkpoints_.Bind(1, newest_dropped).Run());
  return obsolete;
}

absl::Status RunStore::WriteEvaluation(const EvaluationRecorded& record, int64_t wall_unix_ms) {
  SKERRY_RETURN_IF_ERROR(add_evaluation_.Bind(1, Signed(record.version.value()))
                             .Bind(2, wall_unix_ms)
                             .Bind(3, Signed(record.examples))
                             .Run());
  for (const auto& [name, value] : record.metrics) {
    SKERRY_RETURN_IF_ERROR(
        add_metric_.Bind(1, Signed(record.version.value())).Bind(2, name).Bind(3, value).Run());
  }
  return absl::OkStatus();
}

absl::Status RunStore::WriteEvent(const EventRecorded& record, int64_t wall_unix_ms) {
  return add_event_.Bind(1, Row(record.round))
      .Bind(2, wall_unix_ms)
      .Bind(3, record.kind)
      .Bind(4, record.node)
      .Bind(5, record.detail)
      .Run();
}

absl::Status RunStore::WriteEnded(const RunEnded& record, int64_t wall_unix_ms) {
  return end_run_.Bind(1, RunStatusName(record.status))
      .Bind(2, record.detail)
      .Bind(3, wall_unix_ms)
      .Run();
}

absl::Status RunStore::WriteTraffic(const RoundTraffic& traffic) {
  return add_traffic_.Bind(1, Row(traffic.round))
      .Bind(2, Signed(traffic.bytes_sent))
      .Bind(3, Signed(traffic.bytes_received))
      .Bind(4, traffic.wall.count())
      .Run();
}

absl::Status RunStore::PublishModel(const std::string& model) {
  const std::string from = run_dir_ + "/" + model;
  const std::string to = run_dir_ + "/" + kLastModel;
  const std::string temporary = to + ".tmp-link";
  RemoveFile(temporary);
  // Not synced: after a power cut the older model may stand here, and Open publishes again.
  if (::link(from.c_str(), temporary.c_str()) != 0) {
    // File systems without hard links (FAT, some network shares).
    std::error_code error;
    std::filesystem::copy_file(from, temporary, error);
    if (error) {
      return ErrnoStatus(error.value(), fmt::format("cannot copy {} to {}", from, temporary));
    }
  }
  if (::rename(temporary.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot rename {} to {}", temporary, to));
  }
  return absl::OkStatus();
}

absl::Status RunStore::WriteLastModel(const ParameterVector& model, RoundId round) {
  return WriteSafetensors(run_dir_ + "/" + kLastModel, model,
                          {{"round", fmt::format("{}", round.value())}});
}

absl::StatusOr<ParameterVector> RunStore::ReadAggregate(RoundId round,
                                                        const ParameterLayoutPtr& layout) {
  ParameterVector aggregate(layout);
  const auto values = aggregate.values();
  SKERRY_RETURN_IF_ERROR(
      database_.ReadBlob({"aggregate", "data", Row(round)},
                         {reinterpret_cast<uint8_t*>(values.data()), values.size_bytes()}));
  return aggregate;
}

absl::StatusOr<std::optional<proto::SessionState>> RunStore::ReadSession(
    const RoundStarted& round) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement row,
      database_.Prepare("SELECT state FROM secagg_session WHERE round = ? AND attempt = ?"));
  row.Bind(1, Row(round.round)).Bind(2, int64_t{round.attempt.value()});
  SKERRY_ASSIGN_OR_RETURN(const bool is_row, row.Step());
  if (!is_row) return std::nullopt;
  proto::SessionState state;
  if (!state.ParseFromString(row.Text(0))) {
    return absl::DataLossError(fmt::format("{}: the stored session of round {} cannot be read",
                                           DatabasePath(run_dir_), round.round.value()));
  }
  return state;
}

absl::StatusOr<RestoredStore> RunStore::Restore() {
  RestoredStore restored;
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_.Prepare("SELECT round, attempt, invited, model_sha256 FROM round"
                        " WHERE committed_unix_ms IS NOT NULL ORDER BY round DESC LIMIT 1"));
  SKERRY_ASSIGN_OR_RETURN(bool is_row, rows.Step());
  if (is_row) {
    restored.run.last_committed = RoundId(static_cast<uint64_t>(rows.Integer(0)));
    restored.run.model_sha256 = rows.Text(3);
  }
  SKERRY_ASSIGN_OR_RETURN(rows, database_.Prepare("SELECT round, attempt, invited FROM round"
                                                  " WHERE committed_unix_ms IS NULL"));
  SKERRY_ASSIGN_OR_RETURN(is_row, rows.Step());
  if (is_row) {
    SKERRY_ASSIGN_OR_RETURN(std::vector<NodeId> invited, DecodeNodes(rows.Text(2)));
    restored.run.open_round =
        RoundStarted{RoundId(static_cast<uint64_t>(rows.Integer(0))),
                     AttemptId(static_cast<uint32_t>(rows.Integer(1))), std::move(invited)};
  }
  if (restored.run.open_round.has_value()) {
    SKERRY_ASSIGN_OR_RETURN(restored.run.session, ReadSession(*restored.run.open_round));
  }

  SKERRY_ASSIGN_OR_RETURN(const std::vector<BudgetCharged> charges, ReadCharges(database_));
  restored.run.charge_count = static_cast<int64_t>(charges.size());
  if (!charges.empty()) {
    restored.run.newest_charge = {charges.back().round, charges.back().attempt};
    restored.run.is_newest_skipped = charges.back().is_skipped;
  }

  SKERRY_ASSIGN_OR_RETURN(rows, database_.Prepare("SELECT status, initial_sha256 FROM run"));
  SKERRY_RETURN_IF_ERROR(rows.Step().status());
  const auto status = RunStatusFromName(rows.Text(0));
  if (!status.has_value()) return absl::DataLossError("run.db: the run's status is unknown");
  restored.status = *status;
  if (restored.run.last_committed.value() == 0) restored.run.model_sha256 = rows.Text(1);

  SKERRY_ASSIGN_OR_RETURN(rows, database_.Prepare("SELECT max(version) FROM evaluation"));
  SKERRY_RETURN_IF_ERROR(rows.Step().status());
  restored.run.last_evaluated = ModelVersion(static_cast<uint64_t>(rows.Integer(0)));

  SKERRY_ASSIGN_OR_RETURN(is_row, list_checkpoints_.Step());
  if (!is_row) return absl::DataLossError("run.db names no checkpoint");
  restored.base_round = RoundId(static_cast<uint64_t>(list_checkpoints_.Integer(0)));
  restored.base = {list_checkpoints_.Text(1), list_checkpoints_.Text(2)};
  while (is_row) {
    SKERRY_ASSIGN_OR_RETURN(is_row, list_checkpoints_.Step());
  }

  uint64_t next = restored.base_round.value() + 1;
  SKERRY_ASSIGN_OR_RETURN(rows, database_.Prepare("SELECT round FROM aggregate ORDER BY round"));
  for (;; ++next) {
    SKERRY_ASSIGN_OR_RETURN(is_row, rows.Step());
    if (!is_row) break;
    if (static_cast<uint64_t>(rows.Integer(0)) != next) break;
    restored.replay.emplace_back(next);
  }
  if (next != restored.run.last_committed.value() + 1) {
    return absl::DataLossError(
        fmt::format("{}: the newest checkpoint is of round {}, {} rounds are committed, and the "
                    "aggregate of round {} is missing",
                    DatabasePath(run_dir_), restored.base_round.value(),
                    restored.run.last_committed.value(), next));
  }
  return restored;
}

absl::Status RunStore::RemoveStrayFiles() {
  std::set<std::string> named;
  std::string newest_model;
  int64_t newest_round = 0;
  for (;;) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, list_checkpoints_.Step());
    if (!is_row) break;
    if (newest_model.empty()) {
      newest_round = list_checkpoints_.Integer(0);
      newest_model = list_checkpoints_.Text(1);
    }
    named.insert(list_checkpoints_.Text(1));
    named.insert(list_checkpoints_.Text(2));
  }
  // Files of a commit that did not happen, of a removal that did not finish, and half-written ones.
  // Only names this program gives: whatever else a person has put there stays.
  for (const char* folder : {"models", "state"}) {
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::directory_iterator(run_dir_ + "/" + folder, ignored)) {
      const std::string file = entry.path().filename().string();
      const bool is_ours =
          file.starts_with("round-") && file.find(".safetensors") != std::string::npos;
      if (is_ours && !named.contains(fmt::format("{}/{}", folder, file))) {
        RemoveFile(entry.path().string());
      }
    }
  }

  // A run that ended between two checkpoints has a newer last model than its newest checkpoint.
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement last,
      database_.Prepare("SELECT max(round) FROM round WHERE committed_unix_ms IS NOT NULL"));
  SKERRY_RETURN_IF_ERROR(last.Step().status());
  const bool is_newest = newest_round >= last.Integer(0);
  if (!is_newest && std::filesystem::exists(run_dir_ + "/" + kLastModel)) return absl::OkStatus();
  return PublishModel(newest_model);
}

}  // namespace skerry
