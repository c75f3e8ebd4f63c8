// The coordinator's privacy ledger in run.db: one row for each release, never changed, each holding
// the hash of the one before. A row is written in the transaction that makes the release possible,
// so what was released is in it, and after a crash perhaps something that was not.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/round/records.h"
#include "coordinator/store/sqlite.h"

namespace skerry {

// Appends a row behind the last one. Inside the caller's transaction.
absl::Status AppendCharge(SqliteDatabase& database, const BudgetCharged& charge,
                          int64_t wall_unix_ms);

// All rows, oldest first. Fails with kDataLoss if one was changed or is missing.
absl::StatusOr<std::vector<BudgetCharged>> ReadCharges(SqliteDatabase& database);

}  // namespace skerry
