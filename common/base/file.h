// Files written so that a crash leaves either the old content or the new, never half of it.
// Errors name the path and the operating system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace skerry {

// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// An open file that is about to replace `path`. Nothing is visible under `path` before Commit,
// which makes the bytes and the name durable (fsync, rename, fsync of the folder). Destroyed
// without Commit it removes its temporary file.
class AtomicFile {
 public:
  // `mode` is the permission of the new file; keys use 0600.
  static absl::StatusOr<AtomicFile> Create(std::string path, unsigned mode = 0644);
  ~AtomicFile();
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  absl::Status Write(std::span<const uint8_t> bytes);
  absl::Status Commit();
  // The same, but fails with kAlreadyExists instead of replacing a file.
  absl::Status CommitNew();

 private:
  AtomicFile(std::string path, std::string path_temporary, FileDescriptor file)
      : path_(std::move(path)),
        path_temporary_(std::move(path_temporary)),
        file_(std::move(file)) {}
  std::string path_;
  std::string path_temporary_;
  FileDescriptor file_;
};

// Reads a whole file. Fails with kNotFound if it is missing and kResourceExhausted if it is larger
// than `bytes_max`, before allocating.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t bytes_max);

// Replaces `path` with `text`, atomically and durably.
absl::Status WriteFileAtomically(const std::string& path, std::string_view text,
                                 unsigned mode = 0644);

// Writes a file that does not exist yet, atomically and durably. Fails with kAlreadyExists, and
// leaves what is there untouched, if `path` is taken.
absl::Status WriteNewFile(const std::string& path, std::span<const uint8_t> bytes,
                          unsigned mode = 0644);

// Creates the folder and its parents; an existing folder is fine.
absl::Status MakeDirectories(const std::string& path, unsigned mode = 0755);

// Makes renames and removals in `path` durable.
absl::Status SyncDirectory(const std::string& path);

// "cannot open runs/x: No such file or directory", with the code that fits errno.
absl::Status ErrnoStatus(int error_number, std::string_view what);

}  // namespace skerry
