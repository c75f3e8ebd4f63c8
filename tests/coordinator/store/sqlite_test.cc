#include "coordinator/store/sqlite.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::HasSubstr;

class SqliteTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = SqliteDatabase::Open(folder_ / "x.db", SqliteMode::kCreate);
    ASSERT_OK(opened);
    database_ = std::make_unique<SqliteDatabase>(*std::move(opened));
    ASSERT_OK(database_->Execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)"));
  }
  TemporaryDirectory folder_;
  std::unique_ptr<SqliteDatabase> database_;
};

TEST_F(SqliteTest, ValuesOfEveryTypeAreReadBack) {
  ASSERT_OK_AND_ASSIGN(SqliteStatement insert, database_->Prepare("INSERT INTO t (v) VALUES (?)"));
  const std::string text("with \0 zero", 11);
  ASSERT_OK(insert.Bind(1, std::numeric_limits<int64_t>::min()).Run());
  ASSERT_OK(insert.Bind(1, 0.1).Run());
  ASSERT_OK(insert.Bind(1, text).Run());
  ASSERT_OK(insert.Bind(1, std::string_view()).Run());
  ASSERT_OK(insert.BindNull(1).Run());
  ASSERT_OK(insert.Bind(1, std::nan("")).Run());

  ASSERT_OK_AND_ASSIGN(SqliteStatement rows, database_->Prepare("SELECT v FROM t ORDER BY id"));
  ASSERT_OK(rows.Step());
  EXPECT_EQ(rows.Integer(0), std::numeric_limits<int64_t>::min());
  ASSERT_OK(rows.Step());
  EXPECT_EQ(rows.Real(0), 0.1);
  ASSERT_OK(rows.Step());
  EXPECT_EQ(rows.Text(0), text);
  ASSERT_OK(rows.Step());
  EXPECT_FALSE(rows.IsNull(0));
  EXPECT_EQ(rows.Text(0), "");
  ASSERT_OK(rows.Step());
  EXPECT_TRUE(rows.IsNull(0));
  ASSERT_OK(rows.Step());
  EXPECT_TRUE(std::isnan(rows.Real(0)));
  ASSERT_OK_AND_ASSIGN(const bool is_row, rows.Step());
  EXPECT_FALSE(is_row);
}

TEST_F(SqliteTest, ParametersAreForgottenAfterEachRun) {
  ASSERT_OK_AND_ASSIGN(SqliteStatement insert, database_->Prepare("INSERT INTO t (v) VALUES (?)"));
  ASSERT_OK(insert.Bind(1, int64_t{5}).Run());
  ASSERT_OK(insert.Run());

  ASSERT_OK_AND_ASSIGN(SqliteStatement rows,
                       database_->Prepare("SELECT count(*) FROM t WHERE v IS NULL"));
  ASSERT_OK(rows.Step());
  EXPECT_EQ(rows.Integer(0), 1);
}

TEST_F(SqliteTest, BindToAParameterThatIsNotThereIsReportedByTheStep) {
  ASSERT_OK_AND_ASSIGN(SqliteStatement insert, database_->Prepare("INSERT INTO t (v) VALUES (?)"));

  EXPECT_FALSE(insert.Bind(2, int64_t{5}).Run().ok());

  EXPECT_OK(insert.Bind(1, int64_t{5}).Run());
}

TEST_F(SqliteTest, BlobIsWrittenAndReadInPlace) {
  const std::vector<uint8_t> bytes = {1, 2, 3, 4, 5};
  ASSERT_OK_AND_ASSIGN(SqliteStatement insert, database_->Prepare("INSERT INTO t VALUES (9, ?)"));
  ASSERT_OK(insert.BindZeroBlob(1, bytes.size()).Run());
  ASSERT_OK(database_->WriteBlob({"t", "v", 9}, bytes));

  std::vector<uint8_t> read(5);
  ASSERT_OK(database_->ReadBlob({"t", "v", 9}, read));

  EXPECT_EQ(read, bytes);
  std::vector<uint8_t> longer(6);
  EXPECT_THAT(database_->ReadBlob({"t", "v", 9}, longer), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(database_->ReadBlob({"t", "v", 8}, read), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(SqliteTest, TransactionThatIsNotCommittedIsUndone) {
  {
    ASSERT_OK_AND_ASSIGN(const SqliteTransaction transaction, SqliteTransaction::Begin(*database_));
    ASSERT_OK(database_->Execute("INSERT INTO t VALUES (1, 1)"));
  }
  {
    ASSERT_OK_AND_ASSIGN(SqliteTransaction transaction, SqliteTransaction::Begin(*database_));
    ASSERT_OK(database_->Execute("INSERT INTO t VALUES (2, 2)"));
    ASSERT_OK(transaction.Commit());
  }

  ASSERT_OK_AND_ASSIGN(SqliteStatement rows, database_->Prepare("SELECT sum(id) FROM t"));
  ASSERT_OK(rows.Step());
  EXPECT_EQ(rows.Integer(0), 2);
}

TEST_F(SqliteTest, FullDatabaseIsResourceExhausted) {
  ASSERT_OK(database_->Execute("PRAGMA max_page_count = 3"));

  EXPECT_THAT(database_->Execute("INSERT INTO t VALUES (1, zeroblob(100000))"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("x.db")));
}

TEST_F(SqliteTest, WrongSqlNamesTheFileAndTheFault) {
  EXPECT_THAT(database_->Prepare("SELECT absent FROM t"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("no such column: absent")));
}

TEST_F(SqliteTest, ReadOnlyDatabaseRefusesToWrite) {
  ASSERT_OK_AND_ASSIGN(SqliteDatabase reader,
                       SqliteDatabase::Open(folder_ / "x.db", SqliteMode::kReadOnly));

  EXPECT_THAT(reader.Execute("INSERT INTO t VALUES (1, 1)"),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(SqliteTest, MissingDatabaseIsNotFoundUnlessItIsToBeCreated) {
  for (const SqliteMode mode : {SqliteMode::kReadWrite, SqliteMode::kReadOnly}) {
    EXPECT_THAT(SqliteDatabase::Open(folder_ / "none.db", mode),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.db")));
  }
}

}  // namespace
}  // namespace skerry
