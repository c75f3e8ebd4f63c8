#include "common/transport/spool_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {

absl::StatusOr<SpoolFile> SpoolFile::Create(const std::string& folder, uint64_t bytes_max) {
  const auto failed = [&] {
    return ErrnoStatus(errno, fmt::format("cannot create a spool file in {}", folder));
  };
  FileDescriptor file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.is_open()) return SpoolFile(std::move(file), folder, bytes_max);
  // Not every file system makes nameless files; then the name is removed at once.
  if (errno != EOPNOTSUPP && errno != EISDIR) return failed();
  std::string path = folder + "/.spool-XXXXXX";
  file = FileDescriptor(::mkostemp(path.data(), O_CLOEXEC));
  if (!file.is_open() || ::unlink(path.c_str()) != 0) return failed();
  return SpoolFile(std::move(file), folder, bytes_max);
}

absl::Status SpoolFile::WriteAt(uint64_t offset, std::span<const uint8_t> bytes) {
  if (offset > bytes_max_ || bytes.size() > bytes_max_ - offset) {
    return absl::ResourceExhaustedError(
        fmt::format("the spool file in {} may hold {} bytes, {} at {} do not fit", folder_,
                    bytes_max_, bytes.size(), offset));
  }
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, fmt::format("cannot write to the spool file in {}", folder_));
    }
    offset += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
    size_ = std::max(size_, offset);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> SpoolFile::Append(std::span<const uint8_t> bytes) {
  const uint64_t offset = size_;
  SKERRY_RETURN_IF_ERROR(WriteAt(offset, bytes));
  return offset;
}

absl::Status SpoolFile::ReadAt(uint64_t offset, std::span<uint8_t> bytes) const {
  if (offset > size_ || bytes.size() > size_ - offset) {
    return absl::OutOfRangeError(fmt::format("the spool file has {} bytes, {} at {} are not there",
                                             size_, bytes.size(), offset));
  }
  while (!bytes.empty()) {
    const ssize_t got =
        ::pread(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, fmt::format("cannot read the spool file in {}", folder_));
    }
    if (got == 0) return absl::DataLossError("the spool file is shorter than what was written");
    offset += static_cast<uint64_t>(got);
    bytes = bytes.subspan(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

void SpoolFile::Discard(uint64_t offset, uint64_t size) {
  // A failure only costs disk space, so the result does not matter.
  static_cast<void>(::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(offset), static_cast<off_t>(size)));
}

absl::Status SpoolFile::Clear() {
  if (::ftruncate(file_.get(), 0) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot empty the spool file in {}", folder_));
  }
  size_ = 0;
  return absl::OkStatus();
}

}  // namespace skerry
