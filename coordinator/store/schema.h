// The tables of run.db. README.md says what each holds; the SQL in schema.cc is the reference.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/round/records.h"
#include "coordinator/store/sqlite.h"

namespace skerry {

// Raised when a program that knows only the older tables could not read the new ones.
inline constexpr int kSchemaVersion = 1;

std::string DatabasePath(const std::string& run_dir);

// Makes the tables. Call inside a transaction, so that a crash leaves all of them or none.
absl::Status CreateSchema(SqliteDatabase& database);

// Tables and columns that a run of an earlier program does not have yet.
absl::Status AddNewTables(SqliteDatabase& database);
absl::StatusOr<bool> HasColumn(SqliteDatabase& database, std::string_view table,
                               std::string_view column);

// Fails with kFailedPrecondition if the file is not a run of ours, was never finished being created
// or is of a newer version, each with what to do.
absl::Status CheckSchema(SqliteDatabase& database, const std::string& run_dir);

// Whether a run was written; false for an empty database.
absl::StatusOr<bool> HasRun(SqliteDatabase& database);

// Everyone's part in a round as one JSON object: a state's name to an object of nodes, each with
// the microseconds until its update was in (accepted; null if unknown) or the reason (all others).
//   {"accepted":{"node-1":1204311},"cut":{"node-7":"no progress for 30 s"}}
std::string EncodeParticipants(std::span<const ParticipantRecord> participants);
absl::StatusOr<std::vector<ParticipantRecord>> DecodeParticipants(const std::string& text);

std::string EncodeNodes(std::span<const NodeId> nodes);  // ["node-1","node-2"]
absl::StatusOr<std::vector<NodeId>> DecodeNodes(const std::string& text);

// The names used in run.db, status.json and the report: "accepted" (ParticipationName gives it),
// "running", ...
std::optional<Participation> ParticipationFromName(std::string_view name);
std::string_view RunStatusName(RunStatus status);
std::optional<RunStatus> RunStatusFromName(std::string_view name);

}  // namespace skerry
