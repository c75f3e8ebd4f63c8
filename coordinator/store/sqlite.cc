#include "coordinator/store/sqlite.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

#include "common/base/status.h"

namespace skerry {
namespace {

// How long a call waits for another connection. Readers never block the writer in WAL mode; this
// covers recovery after a crash and the switch to WAL.
constexpr int kBusyTimeoutMs = 5000;
// sqlite3_blob_read and _write take an int.
constexpr size_t kBlobPieceBytes = 64 << 20;

bool IsNoSpace(int system_error) {
  return system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG;
}

absl::Status ErrorOf(sqlite3* database, int code, const std::string& path) {
  const int system_error = database == nullptr ? 0 : sqlite3_system_errno(database);
  std::string text = database == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(database);
  const int primary = code & 0xff;
  const bool is_system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN ||
                         primary == SQLITE_FULL || primary == SQLITE_PERM;
  if (is_system && system_error != 0) {
    text += fmt::format(" ({})", std::strerror(system_error));
  }
  const std::string message = fmt::format("{}: {}", path, text);
  switch (primary) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message + "; free some space and continue");
    case SQLITE_IOERR:
      if (IsNoSpace(system_error)) {
        return absl::ResourceExhaustedError(message + "; free some space and continue");
      }
      return absl::UnavailableError(message);
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return absl::ResourceExhaustedError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_CANTOPEN:
      if (system_error == ENOENT) return absl::NotFoundError(message);
      return absl::PermissionDeniedError(message);
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::PermissionDeniedError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_CONSTRAINT:
      return absl::FailedPreconditionError(message);
    default:
      return absl::InternalError(message);
  }
}

// A read-only folder (an archived run) cannot hold the shared-memory file WAL needs. If nothing is
// left in the log, the database file alone is the whole truth and can be read as it is.
bool HasEmptyLog(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path + "-wal", error);
  return error || size == 0;
}

std::string ImmutableUri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      uri += fmt::format("%{:02x}", static_cast<unsigned>(c));
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

class Blob {
 public:
  Blob() = default;
  ~Blob() { sqlite3_blob_close(blob_); }
  Blob(const Blob&) = delete;
  Blob& operator=(const Blob&) = delete;

  absl::Status Open(sqlite3* database, const BlobCell& cell, bool is_writable,
                    const std::string& path) {
    const int code = sqlite3_blob_open(database, "main", cell.table.c_str(), cell.column.c_str(),
                                       cell.row, is_writable ? 1 : 0, &blob_);
    if (code == SQLITE_OK) return absl::OkStatus();
    if (code == SQLITE_ERROR) {
      return absl::DataLossError(
          fmt::format("{}: {} {} has no {}", path, cell.table, cell.row, cell.column));
    }
    return ErrorOf(database, code, path);
  }
  sqlite3_blob* get() { return blob_; }

 private:
  sqlite3_blob* blob_ = nullptr;
};

}  // namespace

SqliteStatement::SqliteStatement(sqlite3_stmt* statement, std::string path)
    : statement_(statement), path_(std::move(path)) {}

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void SqliteStatement::Keep(int code) {
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
}

SqliteStatement& SqliteStatement::Bind(int index, int64_t value) {
  Keep(sqlite3_bind_int64(statement_.get(), index, value));
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int index, double value) {
  Keep(sqlite3_bind_double(statement_.get(), index, value));
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int index, std::string_view text) {
  // A null pointer would bind NULL instead of an empty text.
  const char* data = text.empty() ? "" : text.data();
  Keep(sqlite3_bind_text64(statement_.get(), index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int index, std::span<const uint8_t> bytes) {
  const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  Keep(sqlite3_bind_blob64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC));
  return *this;
}

SqliteStatement& SqliteStatement::BindNull(int index) {
  Keep(sqlite3_bind_null(statement_.get(), index));
  return *this;
}

SqliteStatement& SqliteStatement::BindZeroBlob(int index, uint64_t size) {
  Keep(sqlite3_bind_zeroblob64(statement_.get(), index, size));
  return *this;
}

absl::StatusOr<bool> SqliteStatement::Step() {
  int code = bind_error_;
  if (code == SQLITE_OK) code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  absl::Status status;
  if (code != SQLITE_DONE) status = ErrorOf(sqlite3_db_handle(statement_.get()), code, path_);
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
  bind_error_ = SQLITE_OK;
  if (!status.ok()) return status;
  return false;
}

absl::Status SqliteStatement::Run() {
  for (;;) {
    SKERRY_ASSIGN_OR_RETURN(const bool is_row, Step());
    if (!is_row) return absl::OkStatus();
  }
}

bool SqliteStatement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t SqliteStatement::Integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double SqliteStatement::Real(int column) const {
  if (IsNull(column)) return std::numeric_limits<double>::quiet_NaN();
  return sqlite3_column_double(statement_.get(), column);
}

std::string SqliteStatement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

void SqliteDatabase::Close::operator()(sqlite3* database) const {
  // The last connection of all folds the log into the database file here. Statements are gone by
  // then or keep the connection alive until they are.
  sqlite3_close_v2(database);
}

absl::StatusOr<SqliteDatabase> SqliteDatabase::Open(const std::string& path, SqliteMode mode) {
  const auto open = [&](const std::string& name, int flags) -> absl::StatusOr<SqliteDatabase> {
    SqliteDatabase result(path);
    sqlite3* handle = nullptr;
    const int code = sqlite3_open_v2(name.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
    result.database_.reset(handle);
    if (code != SQLITE_OK) return ErrorOf(handle, code, path);
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_timeout(handle, kBusyTimeoutMs);
    // Opening reads nothing; this does, and finds a file that is no database or cannot be read.
    SKERRY_RETURN_IF_ERROR(result.Execute("SELECT count(*) FROM sqlite_master"));
    return result;
  };
  switch (mode) {
    case SqliteMode::kReadWrite:
      return open(path, SQLITE_OPEN_READWRITE);
    case SqliteMode::kCreate:
      return open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    case SqliteMode::kReadOnly:
      break;
  }
  auto result = open(path, SQLITE_OPEN_READONLY);
  if (result.ok() || absl::IsNotFound(result.status()) || absl::IsDataLoss(result.status()) ||
      !HasEmptyLog(path)) {
    return result;
  }
  return open(ImmutableUri(path), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

absl::Status SqliteDatabase::Execute(const std::string& sql) {
  const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : ErrorOf(database_.get(), code, path_);
}

absl::StatusOr<SqliteStatement> SqliteDatabase::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return ErrorOf(database_.get(), code, path_);
  return SqliteStatement(statement, path_);
}

int64_t SqliteDatabase::changed_count() const { return sqlite3_changes64(database_.get()); }

absl::Status SqliteDatabase::WriteBlob(const BlobCell& cell, std::span<const uint8_t> bytes) {
  Blob blob;
  SKERRY_RETURN_IF_ERROR(blob.Open(database_.get(), cell, /*is_writable=*/true, path_));
  for (size_t done = 0; done < bytes.size();) {
    const size_t piece = std::min(bytes.size() - done, kBlobPieceBytes);
    const int code = sqlite3_blob_write(blob.get(), bytes.data() + done, static_cast<int>(piece),
                                        static_cast<int>(done));
    if (code != SQLITE_OK) return ErrorOf(database_.get(), code, path_);
    done += piece;
  }
  return absl::OkStatus();
}

absl::Status SqliteDatabase::ReadBlob(const BlobCell& cell, std::span<uint8_t> bytes) {
  Blob blob;
  SKERRY_RETURN_IF_ERROR(blob.Open(database_.get(), cell, /*is_writable=*/false, path_));
  const auto size = static_cast<size_t>(sqlite3_blob_bytes(blob.get()));
  if (size != bytes.size()) {
    return absl::DataLossError(fmt::format("{}: {} {} holds {} bytes, expected {}", path_,
                                           cell.table, cell.row, size, bytes.size()));
  }
  for (size_t done = 0; done < bytes.size();) {
    const size_t piece = std::min(bytes.size() - done, kBlobPieceBytes);
    const int code = sqlite3_blob_read(blob.get(), bytes.data() + done, static_cast<int>(piece),
                                       static_cast<int>(done));
    if (code != SQLITE_OK) return ErrorOf(database_.get(), code, path_);
    done += piece;
  }
  return absl::OkStatus();
}

absl::StatusOr<SqliteTransaction> SqliteTransaction::Begin(SqliteDatabase& database) {
  SKERRY_RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE"));
  return SqliteTransaction(database);
}

SqliteTransaction::SqliteTransaction(SqliteTransaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

SqliteTransaction::~SqliteTransaction() {
  // A full disk may have rolled it back already; then this fails, and nothing is lost by it.
  if (database_ != nullptr) database_->Execute("ROLLBACK").IgnoreError();
}

absl::Status SqliteTransaction::Commit() {
  SKERRY_RETURN_IF_ERROR(database_->Execute("COMMIT"));
  database_ = nullptr;
  return absl::OkStatus();
}

}  // namespace skerry
