#include "common/base/file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

absl::Status TooLarge(const std::string& path, size_t bytes_max) {
  return absl::ResourceExhaustedError(fmt::format("{} is larger than {} bytes", path, bytes_max));
}

}  // namespace

absl::Status ErrnoStatus(int error_number, std::string_view what) {
  const std::string message = fmt::format("{}: {}", what, std::strerror(error_number));
  switch (error_number) {
    case ENOENT:
      return absl::NotFoundError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

absl::StatusOr<AtomicFile> AtomicFile::Create(std::string path, unsigned mode) {
  static std::atomic<unsigned> counter{0};
  std::string temporary = fmt::format("{}.tmp-{}-{}", path, ::getpid(), counter.fetch_add(1));
  FileDescriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!file.is_open()) return ErrnoStatus(errno, fmt::format("cannot create {}", temporary));
  return AtomicFile(std::move(path), std::move(temporary), std::move(file));
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      path_temporary_(std::exchange(other.path_temporary_, std::string())),
      file_(std::move(other.file_)) {}

AtomicFile::~AtomicFile() {
  if (!path_temporary_.empty()) ::unlink(path_temporary_.c_str());
}

absl::Status AtomicFile::Write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, fmt::format("cannot write {}", path_temporary_));
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  SKERRY_ASSERT(!path_temporary_.empty());
  if (::fsync(file_.get()) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot sync {}", path_temporary_));
  }
  if (::rename(path_temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot rename {} to {}", path_temporary_, path_));
  }
  path_temporary_.clear();
  file_ = FileDescriptor();
  return SyncDirectory(ParentOf(path_));
}

absl::Status AtomicFile::CommitNew() {
  SKERRY_ASSERT(!path_temporary_.empty());
  if (::fsync(file_.get()) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot sync {}", path_temporary_));
  }
  // rename would replace a file; a second name for the same one is refused if the name is taken.
  if (::link(path_temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot create {}", path_));
  }
  ::unlink(path_temporary_.c_str());
  path_temporary_.clear();
  file_ = FileDescriptor();
  return SyncDirectory(ParentOf(path_));
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t bytes_max) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return ErrnoStatus(errno, fmt::format("cannot open {}", path));
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0)
    return ErrnoStatus(errno, fmt::format("cannot stat {}", path));
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(fmt::format("{} is a folder, expected a file", path));
  }
  const size_t size_hint = static_cast<size_t>(std::max<off_t>(info.st_size, 0));
  if (size_hint > bytes_max) return TooLarge(path, bytes_max);
  std::string content;
  // One byte more than expected, so that the end of a regular file is seen without growing. Pipes
  // and /proc report no size and are read in steps under the same limit.
  size_t step = size_hint + 1;
  for (;;) {
    const size_t size_before = content.size();
    content.resize(size_before + step);
    const ssize_t got = ::read(file.get(), content.data() + size_before, step);
    const int error_number = errno;
    content.resize(size_before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && error_number != EINTR) {
      return ErrnoStatus(error_number, fmt::format("cannot read {}", path));
    }
    if (got == 0) return content;
    if (content.size() > bytes_max) return TooLarge(path, bytes_max);
    step = std::max<size_t>(64 * 1024, step - static_cast<size_t>(std::max<ssize_t>(got, 0)));
  }
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view text, unsigned mode) {
  SKERRY_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path, mode));
  SKERRY_RETURN_IF_ERROR(file.Write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  return file.Commit();
}

absl::Status WriteNewFile(const std::string& path, std::span<const uint8_t> bytes, unsigned mode) {
  SKERRY_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path, mode));
  SKERRY_RETURN_IF_ERROR(file.Write(bytes));
  return file.CommitNew();
}

absl::Status MakeDirectories(const std::string& path, unsigned mode) {
  std::error_code error;
  const bool is_new = std::filesystem::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), fmt::format("cannot create folder {}", path));
  if (is_new && ::chmod(path.c_str(), mode) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot set permissions of {}", path));
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return ErrnoStatus(errno, fmt::format("cannot open folder {}", path));
  if (::fsync(folder.get()) != 0) return ErrnoStatus(errno, fmt::format("cannot sync {}", path));
  return absl::OkStatus();
}

}  // namespace skerry
