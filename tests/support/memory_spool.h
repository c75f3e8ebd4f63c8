// An upload spool in memory, which can be told to be full or broken.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "agent/session/upload_store.h"

namespace skerry {

class MemorySpool final : public UploadSpool {
 public:
  absl::StatusOr<uint64_t> Append(std::span<const uint8_t> bytes) override {
    if (is_full) return absl::ResourceExhaustedError("the spool is full");
    const uint64_t offset = bytes_.size();
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return offset;
  }
  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> bytes) override {
    if (is_broken) return absl::DataLossError("the spool cannot be read");
    if (offset + bytes.size() > bytes_.size()) return absl::OutOfRangeError("past the end");
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), bytes.size(), bytes.begin());
    return absl::OkStatus();
  }
  void Discard(uint64_t, uint64_t size) override { discarded_bytes += size; }
  void Clear() override { bytes_.clear(); }

  size_t size() const { return bytes_.size(); }

  bool is_full = false;
  bool is_broken = false;
  uint64_t discarded_bytes = 0;

 private:
  std::vector<uint8_t> bytes_;
};

}  // namespace skerry
