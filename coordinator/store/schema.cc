#include "coordinator/store/schema.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/status.h"

namespace skerry {
namespace {

using Json = nlohmann::json;

constexpr int kApplicationId = 0x534b5259;  // "SKRY", shown by file(1)

constexpr const char* kTables = R"sql(
CREATE TABLE run (
  id               INTEGER PRIMARY KEY CHECK (id = 1),
  run_id           TEXT NOT NULL,
  job_name         TEXT NOT NULL,
  job_yaml         TEXT NOT NULL,
  guarantee        TEXT NOT NULL,
  seed             TEXT NOT NULL,     -- decimal; SQLite's integers are signed
  roster_sha256    TEXT NOT NULL,
  initial_sha256   TEXT NOT NULL,
  rounds_planned   INTEGER NOT NULL,
  keep_models      INTEGER NOT NULL,
  started_unix_ms  INTEGER NOT NULL,
  status           TEXT NOT NULL,
  status_detail    TEXT NOT NULL,
  ended_unix_ms    INTEGER
);
CREATE TABLE session (                -- one row for each start of a coordinator
  id               INTEGER PRIMARY KEY,
  started_unix_ms  INTEGER NOT NULL,
  software_version TEXT NOT NULL
);
CREATE TABLE round (
  round            INTEGER PRIMARY KEY,
  attempt          INTEGER NOT NULL,
  invited          TEXT,              -- until the commit, then participants has them
  started_unix_ms  INTEGER NOT NULL,
  committed_unix_ms INTEGER,          -- NULL: not committed, and so are all below
  participants     TEXT,
  model_sha256     TEXT,
  weight_sum       REAL,
  clamped_sum      REAL,
  update_norm      REAL,
  node_examples    REAL,
  node_correct     REAL,
  node_loss_sum    REAL,
  until_quorum_ns  INTEGER,
  until_closed_ns  INTEGER,
  committing_ns    INTEGER,
  bytes_sent       INTEGER,
  bytes_received   INTEGER,
  wall_ns          INTEGER
);
CREATE TABLE checkpoint (             -- the files that exist and are whole
  round            INTEGER PRIMARY KEY,
  model            TEXT NOT NULL,
  state            TEXT NOT NULL
);
CREATE TABLE aggregate (              -- of the rounds after the newest checkpoint, float32
  round            INTEGER PRIMARY KEY,
  data             BLOB NOT NULL
);
CREATE TABLE evaluation (
  version          INTEGER PRIMARY KEY,
  unix_ms          INTEGER NOT NULL,
  examples         INTEGER NOT NULL
);
CREATE TABLE evaluation_metric (
  version          INTEGER NOT NULL,
  name             TEXT NOT NULL,
  value            REAL,              -- NULL: not a number
  PRIMARY KEY (version, name)
) WITHOUT ROWID;
CREATE TABLE event (
  id               INTEGER PRIMARY KEY,
  round            INTEGER NOT NULL,
  unix_ms          INTEGER NOT NULL,
  kind             TEXT NOT NULL,
  node             TEXT NOT NULL,
  detail           TEXT NOT NULL
);
)sql";

// Later than the tables above.
constexpr const char* kNewTables = R"sql(
CREATE TABLE IF NOT EXISTS secagg_session (  -- of the open round, as far as it has come
  round            INTEGER PRIMARY KEY,
  attempt          INTEGER NOT NULL,
  state            BLOB NOT NULL             -- skerry.proto.SessionState
);
CREATE TABLE IF NOT EXISTS privacy_ledger (  -- rows are never changed
  id               INTEGER PRIMARY KEY,
  round            INTEGER NOT NULL,
  attempt          INTEGER NOT NULL,
  noise_multiplier REAL NOT NULL,
  noise_realised   REAL NOT NULL,
  sampling_rate    REAL NOT NULL,
  steps            INTEGER NOT NULL,
  survivors        INTEGER NOT NULL,
  epsilon_spent    REAL NOT NULL,            -- an upper bound after this row
  unix_ms          INTEGER NOT NULL,
  hash             TEXT NOT NULL,            -- of this row and the hash before it
  epsilon_insider  REAL,                     -- secret cohorts: of who sees them, at most
  clip_norm        REAL,                     -- of the attempt, if it is adaptive
  is_skipped       INTEGER NOT NULL DEFAULT 0
);
)sql";

// Of tables that a run of an earlier program has already.
constexpr const char* kNewColumns = R"sql(
ALTER TABLE privacy_ledger ADD COLUMN epsilon_insider REAL;
ALTER TABLE privacy_ledger ADD COLUMN clip_norm REAL;
ALTER TABLE privacy_ledger ADD COLUMN is_skipped INTEGER NOT NULL DEFAULT 0;
)sql";

constexpr std::array<std::pair<RunStatus, std::string_view>, 5> kRunStatuses = {{
    {RunStatus::kRunning, "running"},
    {RunStatus::kCompleted, "completed"},
    {RunStatus::kFailed, "failed"},
    {RunStatus::kInterrupted, "interrupted"},
    {RunStatus::kBudgetExhausted, "budget_exhausted"},
}};

absl::StatusOr<int64_t> Pragma(SqliteDatabase& database, const char* name) {
  SKERRY_ASSIGN_OR_RETURN(SqliteStatement statement,
                          database.Prepare(fmt::format("PRAGMA {}", name)));
  SKERRY_RETURN_IF_ERROR(statement.Step().status());
  return statement.Integer(0);
}

// Reasons come from peers and may hold bytes that are not UTF-8; they are replaced, never refused.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(fmt::format("run.db: {} of a round cannot be read", what));
}

}  // namespace

std::string DatabasePath(const std::string& run_dir) { return run_dir + "/run.db"; }

absl::Status CreateSchema(SqliteDatabase& database) {
  SKERRY_RETURN_IF_ERROR(database.Execute(kTables));
  SKERRY_RETURN_IF_ERROR(AddNewTables(database));
  return database.Execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};",
                                      kApplicationId, kSchemaVersion));
}

absl::Status AddNewTables(SqliteDatabase& database) {
  SKERRY_RETURN_IF_ERROR(database.Execute(kNewTables));
  SKERRY_ASSIGN_OR_RETURN(const bool is_new, HasColumn(database, "privacy_ledger", "is_skipped"));
  return is_new ? absl::OkStatus() : database.Execute(kNewColumns);
}

absl::StatusOr<bool> HasColumn(SqliteDatabase& database, std::string_view table,
                               std::string_view column) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database.Prepare("SELECT count(*) FROM pragma_table_info(?) WHERE name = ?"));
  rows.Bind(1, table).Bind(2, column);
  SKERRY_RETURN_IF_ERROR(rows.Step().status());
  return rows.Integer(0) > 0;
}

absl::StatusOr<bool> HasRun(SqliteDatabase& database) {
  SKERRY_ASSIGN_OR_RETURN(const int64_t version, Pragma(database, "user_version"));
  return version != 0;
}

absl::Status CheckSchema(SqliteDatabase& database, const std::string& run_dir) {
  SKERRY_ASSIGN_OR_RETURN(const int64_t application, Pragma(database, "application_id"));
  SKERRY_ASSIGN_OR_RETURN(const int64_t version, Pragma(database, "user_version"));
  const std::string path = DatabasePath(run_dir);
  if (application == 0 && version == 0) {
    return absl::FailedPreconditionError(fmt::format(
        "{} holds no run: its creation was interrupted; start the job without --resume", path));
  }
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(
        fmt::format("{} is a database of another program, expected a Skerry run", path));
  }
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(fmt::format(
        "{} was written by a newer version (tables of version {}, this program knows {}); use that "
        "version or start a new run",
        path, version, kSchemaVersion));
  }
  return absl::OkStatus();
}

std::optional<Participation> ParticipationFromName(std::string_view name) {
  for (size_t i = 0; i < kParticipationCount; ++i) {
    const auto participation = static_cast<Participation>(i);
    if (ParticipationName(participation) == name) return participation;
  }
  return std::nullopt;
}

std::string_view RunStatusName(RunStatus status) {
  for (const auto& [value, name] : kRunStatuses) {
    if (value == status) return name;
  }
  AssertionFailed("the table names every status", __FILE__, __LINE__);
}

std::optional<RunStatus> RunStatusFromName(std::string_view name) {
  for (const auto& [value, candidate] : kRunStatuses) {
    if (candidate == name) return value;
  }
  return std::nullopt;
}

std::string EncodeParticipants(std::span<const ParticipantRecord> participants) {
  Json json = Json::object();
  for (const ParticipantRecord& record : participants) {
    Json& value = json[std::string(ParticipationName(record.participation))][record.node.value()];
    if (record.participation != Participation::kAccepted) {
      value = record.reason;
    } else if (record.finished_after.has_value()) {
      value = std::chrono::duration_cast<std::chrono::microseconds>(*record.finished_after).count();
    }
  }
  return Dump(json);
}

absl::StatusOr<std::vector<ParticipantRecord>> DecodeParticipants(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Damaged("the list of participants");
  std::vector<ParticipantRecord> participants;
  for (const auto& [name, nodes] : json.items()) {
    const auto participation = ParticipationFromName(name);
    if (!participation.has_value() || !nodes.is_object()) return Damaged("a participant's state");
    for (const auto& [node, value] : nodes.items()) {
      ParticipantRecord record{NodeId(node), *participation, {}, std::nullopt};
      if (value.is_string()) {
        record.reason = value;
      } else if (value.is_number_integer()) {
        record.finished_after = std::chrono::microseconds(value.get<int64_t>());
      }
      participants.push_back(std::move(record));
    }
  }
  std::sort(participants.begin(), participants.end(),
            [](const auto& a, const auto& b) { return a.node < b.node; });
  return participants;
}

std::string EncodeNodes(std::span<const NodeId> nodes) {
  Json json = Json::array();
  for (const NodeId& node : nodes) json.push_back(node.value());
  return Dump(json);
}

absl::StatusOr<std::vector<NodeId>> DecodeNodes(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return Damaged("the list of invited nodes");
  std::vector<NodeId> nodes;
  for (const Json& node : json) {
    if (!node.is_string()) return Damaged("the list of invited nodes");
    nodes.emplace_back(node.get<std::string>());
  }
  return nodes;
}

}  // namespace skerry
