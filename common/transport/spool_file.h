// A temporary file without a name, for transfers that do not fit in memory. Gone with the process,
// however it ends. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/transport/byte_store.h"

namespace skerry {

class SpoolFile final : public ByteStore {
 public:
  // In `folder`, readable by its owner only. Never grows past `bytes_max`.
  static absl::StatusOr<SpoolFile> Create(const std::string& folder, uint64_t bytes_max);

  // kResourceExhausted if the disk or `bytes_max` is full. Bytes written before stay readable.
  absl::Status WriteAt(uint64_t offset, std::span<const uint8_t> bytes) override;
  // Writes behind everything written so far; the offset to read it back from.
  absl::StatusOr<uint64_t> Append(std::span<const uint8_t> bytes);

  // Fills `bytes`. kOutOfRange if the file ends before.
  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> bytes) const;

  // Gives the disk space of a part back; it reads as zeros afterwards and offsets stay. On a file
  // system that cannot do it the space is kept until Clear.
  void Discard(uint64_t offset, uint64_t size);
  // Empties the file.
  absl::Status Clear();

  uint64_t size() const { return size_; }

 private:
  SpoolFile(FileDescriptor file, std::string folder, uint64_t bytes_max)
      : file_(std::move(file)), folder_(std::move(folder)), bytes_max_(bytes_max) {}

  FileDescriptor file_;
  std::string folder_;
  uint64_t bytes_max_;
  uint64_t size_ = 0;
};

}  // namespace skerry
