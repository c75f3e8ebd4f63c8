#include "coordinator/store/run_history.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/config/job_loader.h"
#include "coordinator/store/privacy_ledger.h"
#include "coordinator/store/schema.h"
#include "coordinator/store/sqlite.h"

namespace skerry {
namespace {

absl::Status ReadRun(SqliteDatabase& database, RunHistory& history) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database.Prepare("SELECT run_id, job_name, job_yaml, seed, roster_sha256, initial_sha256,"
                       " rounds_planned, keep_models, started_unix_ms, status, status_detail,"
                       " ended_unix_ms, guarantee FROM run"));
  SKERRY_ASSIGN_OR_RETURN(const bool is_row, rows.Step());
  if (!is_row) return absl::DataLossError("run.db: the description of the run is missing");
  RunInfo& info = history.info;
  info.run_id = RunId(rows.Text(0));
  info.job_name = rows.Text(1);
  info.job_yaml = rows.Text(2);
  const std::string seed = rows.Text(3);
  std::from_chars(seed.data(), seed.data() + seed.size(), info.seed);
  info.roster_sha256 = rows.Text(4);
  info.initial_sha256 = rows.Text(5);
  info.rounds_planned = static_cast<uint64_t>(rows.Integer(6));
  info.keep_models = static_cast<uint64_t>(rows.Integer(7));
  info.started_unix_ms = rows.Integer(8);
  info.guarantee = rows.Text(12);
  history.job = ReadJob(info.job_yaml, "run.db").job;
  const auto status = RunStatusFromName(rows.Text(9));
  if (!status.has_value()) return absl::DataLossError("run.db: the run's status is unknown");
  history.status = *status;
  history.status_detail = rows.Text(10);
  if (!rows.IsNull(11)) history.ended_unix_ms = rows.Integer(11);
  return absl::OkStatus();
}

absl::Status ReadSessions(SqliteDatabase& database, RunHistory& history) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database.Prepare("SELECT started_unix_ms, software_version FROM session ORDER BY id"));
  for (;;) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, rows.Step());
    if (!is_row) break;
    history.sessions.push_back({rows.Integer(0), rows.Text(1)});
  }
  if (!history.sessions.empty()) {
    history.info.software_version = history.sessions.front().software_version;
  }
  return absl::OkStatus();
}

absl::StatusOr<RoundHistory> RoundFrom(const SqliteStatement& row) {
  RoundHistory result;
  RoundCommitted& round = result.committed;
  round.round = RoundId(static_cast<uint64_t>(row.Integer(0)));
  round.attempt = AttemptId(static_cast<uint32_t>(row.Integer(1)));
  result.started_unix_ms = row.Integer(2);
  result.committed_unix_ms = row.Integer(3);
  SKERRY_ASSIGN_OR_RETURN(round.participants, DecodeParticipants(row.Text(4)));
  round.model_sha256 = row.Text(5);
  round.weight_sum = row.Real(6);
  round.clamped_sum = row.Real(7);
  round.update_norm = row.Real(8);
  if (!row.IsNull(9)) round.node_metrics = NodeMetrics{row.Real(9), row.Real(10), row.Real(11)};
  round.timings = {Duration(row.Integer(12)), Duration(row.Integer(13)), Duration(row.Integer(14))};
  result.traffic = {round.round, static_cast<uint64_t>(row.Integer(15)),
                    static_cast<uint64_t>(row.Integer(16)), Duration(row.Integer(17))};
  return result;
}

absl::Status ReadRounds(SqliteDatabase& database, RunHistory& history) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database.Prepare(
          "SELECT round, attempt, started_unix_ms, committed_unix_ms, participants, model_sha256,"
          " weight_sum, clamped_sum, update_norm, node_examples, node_correct, node_loss_sum,"
          " until_quorum_ns, until_closed_ns, committing_ns, bytes_sent, bytes_received, wall_ns,"
          " invited FROM round ORDER BY round"));
  for (;;) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, rows.Step());
    if (!is_row) return absl::OkStatus();
    if (rows.IsNull(3)) {
      SKERRY_ASSIGN_OR_RETURN(std::vector<NodeId> invited, DecodeNodes(rows.Text(18)));
      history.open_round =
          RoundStarted{RoundId(static_cast<uint64_t>(rows.Integer(0))),
                       AttemptId(static_cast<uint32_t>(rows.Integer(1))), std::move(invited)};
      continue;
    }
    SKERRY_ASSIGN_OR_RETURN(RoundHistory round, RoundFrom(rows));
    history.rounds.push_back(std::move(round));
  }
}

absl::Status ReadEvaluations(SqliteDatabase& database, RunHistory& history) {
  SKERRY_ASSIGN_OR_RETURN(SqliteStatement rows,
                          database.Prepare("SELECT version, examples FROM evaluation"));
  for (;;) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, rows.Step());
    if (!is_row) break;
    const auto version = static_cast<uint64_t>(rows.Integer(0));
    history.evaluations[version] = {
        ModelVersion(version), static_cast<uint64_t>(rows.Integer(1)), {}};
  }
  SKERRY_ASSIGN_OR_RETURN(rows,
                          database.Prepare("SELECT version, name, value FROM evaluation_metric"));
  for (;;) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, rows.Step());
    if (!is_row) return absl::OkStatus();
    const auto found = history.evaluations.find(static_cast<uint64_t>(rows.Integer(0)));
    if (found != history.evaluations.end()) found->second.metrics[rows.Text(1)] = rows.Real(2);
  }
}

absl::Status ReadEvents(SqliteDatabase& database, RunHistory& history) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database.Prepare("SELECT round, unix_ms, kind, node, detail FROM event ORDER BY id"));
  for (;;) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, rows.Step());
    if (!is_row) return absl::OkStatus();
    history.events.push_back({{RoundId(static_cast<uint64_t>(rows.Integer(0))), rows.Text(2),
                               rows.Text(3), rows.Text(4)},
                              rows.Integer(1)});
  }
}

absl::Status ReadCheckpoints(SqliteDatabase& database, RunHistory& history) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database.Prepare("SELECT round, model, state FROM checkpoint ORDER BY round"));
  for (;;) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, rows.Step());
    if (!is_row) return absl::OkStatus();
    history.checkpoints.emplace_back(RoundId(static_cast<uint64_t>(rows.Integer(0))),
                                     CheckpointFiles{rows.Text(1), rows.Text(2)});
  }
}

}  // namespace

absl::StatusOr<RunHistory> ReadRunHistory(const std::string& run_dir) {
  SKERRY_ASSIGN_OR_RETURN(SqliteDatabase database,
                          SqliteDatabase::Open(DatabasePath(run_dir), SqliteMode::kReadOnly));
  SKERRY_RETURN_IF_ERROR(CheckSchema(database, run_dir));
  RunHistory history;
  history.run_dir = run_dir;
  // One read transaction, so that all tables are seen at the same moment. Closing ends it.
  SKERRY_RETURN_IF_ERROR(database.Execute("BEGIN"));
  SKERRY_RETURN_IF_ERROR(ReadRun(database, history));
  SKERRY_RETURN_IF_ERROR(ReadSessions(database, history));
  SKERRY_RETURN_IF_ERROR(ReadRounds(database, history));
  SKERRY_RETURN_IF_ERROR(ReadEvaluations(database, history));
  SKERRY_RETURN_IF_ERROR(ReadEvents(database, history));
  SKERRY_ASSIGN_OR_RETURN(history.charges, ReadCharges(database));
  for (const BudgetCharged& charge : history.charges) {
    if (!charge.is_skipped || charge.round.value() > history.rounds.size()) continue;
    history.rounds[charge.round.value() - 1].committed.is_skipped = true;
  }
  SKERRY_RETURN_IF_ERROR(ReadCheckpoints(database, history));
  return history;
}

std::vector<std::vector<NodeId>> Survivors(const RunHistory& history) {
  std::vector<std::vector<NodeId>> survivors;
  for (const RoundHistory& round : history.rounds) {
    std::vector<NodeId>& accepted = survivors.emplace_back();
    for (const ParticipantRecord& record : round.committed.participants) {
      if (record.participation == Participation::kAccepted) accepted.push_back(record.node);
    }
  }
  return survivors;
}

}  // namespace skerry
