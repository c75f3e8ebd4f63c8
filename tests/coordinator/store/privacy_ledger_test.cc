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

}  // namespace
}  // namespace skerry
