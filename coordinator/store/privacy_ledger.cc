#include "coordinator/store/privacy_ledger.h"

#include <bit>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/crypto/hex.h"
#include "common/crypto/transcript.h"
#include "coordinator/store/schema.h"

namespace skerry {
namespace {

std::string HashOf(const BudgetCharged& charge, const std::string& previous) {
  const auto bits = [](double value) { return std::bit_cast<uint64_t>(value); };
  Transcript row("skerry-privacy-ledger-v1");
  row.Append("previous", previous)
      .AppendU64("round", charge.round.value())
      .AppendU64("attempt", charge.attempt.value())
      .AppendU64("noise_multiplier", bits(charge.noise_multiplier))
      .AppendU64("noise_realised", bits(charge.noise_realised))
      .AppendU64("sampling_rate", bits(charge.sampling_rate))
      .AppendU64("steps", static_cast<uint64_t>(charge.steps))
      .AppendU64("survivors", charge.survivors)
      .AppendU64("epsilon_spent", bits(charge.epsilon_spent));
  // Each with a label of its own, so that rows of earlier programs keep their hashes.
  if (charge.epsilon_insider) row.AppendU64("epsilon_insider", bits(*charge.epsilon_insider));
  if (charge.clip_norm) row.AppendU64("clip_norm", bits(*charge.clip_norm));
  if (charge.is_skipped) row.AppendU64("is_skipped", 1);
  return HexOf(row.Digest());
}

std::optional<double> RealOrNothing(const SqliteStatement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return row.Real(column);
}

absl::StatusOr<std::string> LastHash(SqliteDatabase& database) {
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database.Prepare("SELECT hash FROM privacy_ledger ORDER BY id DESC LIMIT 1"));
  SKERRY_ASSIGN_OR_RETURN(const bool is_row, rows.Step());
  return is_row ? rows.Text(0) : std::string();
}

}  // namespace

absl::Status AppendCharge(SqliteDatabase& database, const BudgetCharged& charge,
                          int64_t wall_unix_ms) {
  SKERRY_ASSIGN_OR_RETURN(const std::string previous, LastHash(database));
  SKERRY_ASSIGN_OR_RETURN(
      SqliteStatement insert,
      database.Prepare("INSERT INTO privacy_ledger (round, attempt, noise_multiplier,"
                       " noise_realised, sampling_rate, steps, survivors, epsilon_spent, unix_ms,"
                       " hash, epsilon_insider, clip_norm, is_skipped)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  const std::string hash = HashOf(charge, previous);
  if (charge.epsilon_insider) insert.Bind(11, *charge.epsilon_insider);
  if (charge.clip_norm) insert.Bind(12, *charge.clip_norm);
  return insert.Bind(1, static_cast<int64_t>(charge.round.value()))
      .Bind(2, int64_t{charge.attempt.value()})
      .Bind(3, charge.noise_multiplier)
      .Bind(4, charge.noise_realised)
      .Bind(5, charge.sampling_rate)
      .Bind(6, charge.steps)
      .Bind(7, static_cast<int64_t>(charge.survivors))
      .Bind(8, charge.epsilon_spent)
      .Bind(9, wall_unix_ms)
      .Bind(10, hash)
      .Bind(13, int64_t{charge.is_skipped})
      .Run();
}

absl::StatusOr<std::vector<BudgetCharged>> ReadCharges(SqliteDatabase& database) {
  SKERRY_ASSIGN_OR_RETURN(SqliteStatement rows,
                          database.Prepare("SELECT count(*) FROM sqlite_master"
                                           " WHERE name = 'privacy_ledger'"));
  SKERRY_RETURN_IF_ERROR(rows.Step().status());
  if (rows.Integer(0) == 0) return std::vector<BudgetCharged>();  // a run of an earlier program
  SKERRY_ASSIGN_OR_RETURN(const bool has_new_columns,
                          HasColumn(database, "privacy_ledger", "is_skipped"));
  SKERRY_ASSIGN_OR_RETURN(
      rows, database.Prepare(fmt::format(
                "SELECT round, attempt, noise_multiplier, noise_realised, sampling_rate, steps,"
                " survivors, epsilon_spent, hash, {} FROM privacy_ledger ORDER BY id",
                has_new_columns ? "epsilon_insider, clip_norm, is_skipped" : "NULL, NULL, 0")));
  std::vector<BudgetCharged> charges;
  std::string previous;
  for (;;) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, rows.Step());
    if (!is_row) return charges;
    const BudgetCharged charge{.round = RoundId(static_cast<uint64_t>(rows.Integer(0))),
                               .attempt = AttemptId(static_cast<uint32_t>(rows.Integer(1))),
                               .noise_multiplier = rows.Real(2),
                               .noise_realised = rows.Real(3),
                               .sampling_rate = rows.Real(4),
                               .steps = rows.Integer(5),
                               .survivors = static_cast<uint64_t>(rows.Integer(6)),
                               .epsilon_spent = rows.Real(7),
                               .epsilon_insider = RealOrNothing(rows, 9),
                               .clip_norm = RealOrNothing(rows, 10),
                               .is_skipped = rows.Integer(11) != 0};
    const std::string hash = rows.Text(8);
    if (hash != HashOf(charge, previous)) {
      return absl::DataLossError(
          fmt::format("run.db: row {} of the privacy ledger (round {}) was changed, or rows before "
                      "it are missing: restore the file from a copy",
                      charges.size() + 1, charge.round.value()));
    }
    charges.push_back(charge);
    previous = hash;
  }
}

}  // namespace skerry
