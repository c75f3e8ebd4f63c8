#include "coordinator/store/privacy_ledger.h"

#include "coordinator/store/run_history.h"
#include "coordinator/store/schema.h"
#include "tests/coordinator/store/store_fixture.h"

namespace skerry {
namespace {

using testing::HasSubstr;

class PrivacyLedgerTest : public StoreFixture {
 protected:
  static BudgetCharged Charge(uint64_t round, double epsilon) {
    return {.round = RoundId(round),
            .attempt = AttemptId(1),
            .noise_multiplier = 1.868,
            .noise_realised = 2.157,
            .sampling_rate = 0.034133,
            .steps = 1,
            .survivors = 8,
            .epsilon_spent = epsilon};
  }
  // Two charged rounds in a run directory that nobody has open.
  void WriteTwo() {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    const Record first[] = {Started(1), Charge(1, 0.25)};
    ASSERT_OK(store.Append(first, kStart + 1, std::nullopt));
    const Record second[] = {Charge(2, 0.3)};
    ASSERT_OK(store.Append(second, kStart + 2, std::nullopt));
  }
  void Execute(const std::string& sql) {
    ASSERT_OK_AND_ASSIGN(SqliteDatabase database,
                         SqliteDatabase::Open(DatabasePath(dir()), SqliteMode::kReadWrite));
    ASSERT_OK(database.Execute(sql));
  }
};

TEST_F(PrivacyLedgerTest, ChargesComeBackBitByBitAndAreCountedAfterARestart) {
  WriteTwo();

  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(dir()));
  ASSERT_EQ(history.charges.size(), 2u);
  EXPECT_EQ(history.charges[0].round, RoundId(1));
  EXPECT_EQ(history.charges[0].sampling_rate, 0.034133);
  EXPECT_EQ(history.charges[1].epsilon_spent, 0.3);
  EXPECT_EQ(history.charges[1].survivors, 8u);
  ASSERT_OK_AND_ASSIGN(RunStore store, Open());
  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.run.charge_count, 2);
}

TEST_F(PrivacyLedgerTest, AChangedRowIsNoticed) {
  WriteTwo();
  Execute("UPDATE privacy_ledger SET epsilon_spent = 0.1 WHERE id = 1");

  EXPECT_THAT(ReadRunHistory(dir()).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("row 1 of the privacy ledger")));
}

TEST_F(PrivacyLedgerTest, ARemovedRowIsNoticed) {
  WriteTwo();
  Execute("DELETE FROM privacy_ledger WHERE id = 1");

  EXPECT_THAT(ReadRunHistory(dir()).status(), StatusIs(absl::StatusCode::kDataLoss));
  ASSERT_OK_AND_ASSIGN(RunStore store, Open());
  EXPECT_THAT(store.Restore().status(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(PrivacyLedgerTest, ARunWithoutPrivacyHasNone) {
  ASSERT_OK(Create().status());
  Execute("DROP TABLE privacy_ledger");  // as an earlier program left it

  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(dir()));
  EXPECT_TRUE(history.charges.empty());
}

TEST_F(PrivacyLedgerTest, SkippedRoundsClipNormsAndTheInsidersEpsilonComeBack) {
  BudgetCharged trained = Charge(1, 0.25);
  trained.clip_norm = 0.3125;
  trained.epsilon_insider = 1.75;
  BudgetCharged skipped = Charge(2, 0.5);
  skipped.is_skipped = true;
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    const Record records[] = {Started(1), trained, WithCheckpoint(1), Started(2), skipped};
    ASSERT_OK(store.Append(records, kStart + 1));
    ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
    EXPECT_TRUE(restored.run.is_newest_skipped);
    const Record committed[] = {WithCheckpoint(2), Started(3), Charge(3, 0.75)};
    ASSERT_OK(store.Append(committed, kStart + 2));
    ASSERT_OK_AND_ASSIGN(const RestoredStore later, store.Restore());
    EXPECT_FALSE(later.run.is_newest_skipped);
  }

  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(dir()));

  ASSERT_EQ(history.charges.size(), 3u);
  EXPECT_EQ(history.charges[0].clip_norm, 0.3125);
  EXPECT_EQ(history.charges[0].epsilon_insider, 1.75);
  EXPECT_FALSE(history.charges[1].clip_norm.has_value());
  EXPECT_TRUE(history.charges[1].is_skipped);
  EXPECT_FALSE(history.rounds[0].committed.is_skipped);
  EXPECT_TRUE(history.rounds[1].committed.is_skipped);
}

TEST_F(PrivacyLedgerTest, WhatIsNewInARowIsPartOfItsHash) {
  for (const char* change : {"is_skipped = 1", "clip_norm = 9", "epsilon_insider = 0.1"}) {
    std::filesystem::remove_all(dir());
    WriteTwo();
    Execute(fmt::format("UPDATE privacy_ledger SET {} WHERE id = 2", change));
    EXPECT_THAT(ReadRunHistory(dir()).status(),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("row 2 of the privacy ledger")))
        << change;
  }
}

// As an earlier program left it: read as it is, and written on once it is opened.
TEST_F(PrivacyLedgerTest, ALedgerWithoutTheNewColumnsGoesOn) {
  WriteTwo();
  for (const char* column : {"epsilon_insider", "clip_norm", "is_skipped"}) {
    Execute(fmt::format("ALTER TABLE privacy_ledger DROP COLUMN {}", column));
  }
  ASSERT_OK_AND_ASSIGN(RunHistory history, ReadRunHistory(dir()));
  EXPECT_EQ(history.charges.size(), 2u);
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Open());
    BudgetCharged next = Charge(3, 0.5);
    next.clip_norm = 0.5;
    const Record records[] = {next};
    ASSERT_OK(store.Append(records, kStart + 3));
  }

  ASSERT_OK_AND_ASSIGN(history, ReadRunHistory(dir()));

  ASSERT_EQ(history.charges.size(), 3u);
  EXPECT_EQ(history.charges[2].clip_norm, 0.5);
}

TEST_F(PrivacyLedgerTest, ARunWithSecretCohortsIsItsOwnersOnly) {
  RunInfo info = Info();
  info.is_for_owner_only = true;
  ASSERT_OK_AND_ASSIGN(RunStore store, RunStore::Create(dir(), info, Model(0)));
  const Record records[] = {Started(1)};
  ASSERT_OK(store.Append(records, kStart + 1));

  using std::filesystem::perms;
  for (const char* file : {"run.db", "run.db-wal"}) {
    EXPECT_EQ(std::filesystem::status(Path(file)).permissions(),
              perms::owner_read | perms::owner_write)
        << file;
  }
}

}  // namespace
}  // namespace skerry
