#include "coordinator/store/run_row.h"

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {

absl::Status InsertRun(SqliteDatabase& database, const RunInfo& info) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement insert,
      database.Prepare("INSERT INTO run (id, run_id, job_name, job_yaml, seed, roster_sha256,"
                       " initial_sha256, rounds_planned, keep_models, started_unix_ms, status,"
                       " status_detail, guarantee) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'running',"
                       " '', ?)"));
  const std::string seed = fmt::format("{}", info.seed);
  return insert.Bind(1, info.run_id.value())
      .Bind(2, info.job_name)
      .Bind(3, info.job_yaml)
      .Bind(4, seed)
      .Bind(5, info.roster_sha256)
      .Bind(6, info.initial_sha256)
      .Bind(7, static_cast<int64_t>(info.rounds_planned))
      .Bind(8, static_cast<int64_t>(info.keep_models))
      .Bind(9, info.started_unix_ms)
      .Bind(10, info.guarantee)
      .Run();
}

absl::Status InsertSession(SqliteDatabase& database, const std::string& software_version,
                           int64_t wall_unix_ms) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement insert,
      database.Prepare("INSERT INTO session (started_unix_ms, software_version) VALUES (?, ?)"));
  return insert.Bind(1, wall_unix_ms).Bind(2, software_version).Run();
}

absl::Status BeginSession(SqliteDatabase& database, const std::string& software_version,
                          int64_t wall_unix_ms) {
  SKERRY_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(database));
  SKERRY_RETURN_IF_ERROR(InsertSession(database, software_version, wall_unix_ms));
  SKERRY_RETURN_IF_ERROR(
      database.Execute("UPDATE run SET status = 'running', status_detail = '', ended_unix_ms = NULL"
                       " WHERE status <> 'completed'"));
  return transaction.Commit();
}

absl::Status AmendRun(SqliteDatabase& database, const RunInfo& info) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement update,
      database.Prepare("UPDATE run SET job_yaml = ?, guarantee = ?, rounds_planned = ?,"
                       " status = 'running', status_detail = '', ended_unix_ms = NULL"));
  return update.Bind(1, info.job_yaml)
      .Bind(2, info.guarantee)
      .Bind(3, static_cast<int64_t>(info.rounds_planned))
      .Run();
}

}  // namespace skerry
