// The one row of table run, and the starts of a coordinator beside it. Used by run_store.cc only.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "coordinator/store/run_history.h"
#include "coordinator/store/sqlite.h"

namespace skerry {

// Both inside the caller's transaction.
absl::Status InsertRun(SqliteDatabase& database, const RunInfo& info);
absl::Status InsertSession(SqliteDatabase& database, const std::string& software_version,
                           int64_t wall_unix_ms);

// A transaction of its own: a run that failed or was interrupted is running again; a completed one
// has nothing to continue.
absl::Status BeginSession(SqliteDatabase& database, const std::string& software_version,
                          int64_t wall_unix_ms);

// Job, guarantee and planned rounds are `info`'s now, and a completed run is running again. Inside
// the caller's transaction.
absl::Status AmendRun(SqliteDatabase& database, const RunInfo& info);

}  // namespace skerry
