// SQLite behind two owning types. The only header of the project that knows there is an SQLite; its
// own header is included in sqlite.cc alone.
//
// A database and its statements belong to one thread. Errors name the file, what SQLite says and
// the operating system's reason: kResourceExhausted for a full disk, kDataLoss for a damaged file,
// kUnavailable for a lock held too long or another I/O error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace skerry {

// One prepared statement, used again and again: Bind, Step until false, Reset. Parameters and
// columns are counted as SQLite does: parameters from 1, columns from 0.
class SqliteStatement {
 public:
  SqliteStatement() = default;
  SqliteStatement(sqlite3_stmt* statement, std::string path);

  // A failed Bind is reported by the next Step. Text and bytes must live until then.
  SqliteStatement& Bind(int index, int64_t value);
  SqliteStatement& Bind(int index, double value);  // NaN is stored as NULL
  SqliteStatement& Bind(int index, std::string_view text);
  SqliteStatement& Bind(int index, std::span<const uint8_t> bytes);
  SqliteStatement& BindNull(int index);
  SqliteStatement& BindZeroBlob(int index, uint64_t size);

  // True: a row is there. False: done; the statement is reset and its parameters are cleared.
  absl::StatusOr<bool> Step();
  // For statements without rows.
  absl::Status Run();

  bool IsNull(int column) const;
  int64_t Integer(int column) const;
  double Real(int column) const;  // NULL reads as NaN
  std::string Text(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  void Keep(int code);
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  std::string path_;
  int bind_error_ = 0;
};

enum class SqliteMode {
  kReadWrite,  // must exist
  kCreate,     // may exist
  kReadOnly,   // must exist; never blocks a writer
};

// A cell of one row, read and written in place, so that a model of any size needs no second copy.
struct BlobCell {
  std::string table;
  std::string column;
  int64_t row = 0;
};

class SqliteDatabase {
 public:
  static absl::StatusOr<SqliteDatabase> Open(const std::string& path, SqliteMode mode);

  // One or more statements without parameters; their rows are ignored.
  absl::Status Execute(const std::string& sql);
  absl::StatusOr<SqliteStatement> Prepare(std::string_view sql);
  // Rows changed by the last INSERT, UPDATE or DELETE.
  int64_t changed_count() const;

  absl::Status WriteBlob(const BlobCell& cell, std::span<const uint8_t> bytes);
  // Fails with kDataLoss unless the cell holds exactly bytes.size() bytes.
  absl::Status ReadBlob(const BlobCell& cell, std::span<uint8_t> bytes);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit SqliteDatabase(std::string path) : path_(std::move(path)) {}
  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
};

// BEGIN IMMEDIATE on creation, ROLLBACK on destruction unless Commit succeeded.
class SqliteTransaction {
 public:
  static absl::StatusOr<SqliteTransaction> Begin(SqliteDatabase& database);
  ~SqliteTransaction();
  SqliteTransaction(SqliteTransaction&& other) noexcept;
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;
  absl::Status Commit();

 private:
  explicit SqliteTransaction(SqliteDatabase& database) : database_(&database) {}
  SqliteDatabase* database_;
};

}  // namespace skerry
