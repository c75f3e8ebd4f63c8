// Where the bytes of a transfer go: memory or a spool file.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "absl/status/status.h"

namespace skerry {

class ByteStore {
 public:
  virtual ~ByteStore() = default;
  virtual absl::Status WriteAt(uint64_t offset, std::span<const uint8_t> bytes) = 0;
};

// Memory of the final size, allocated by the caller, who keeps it alive.
class MemoryStore final : public ByteStore {
 public:
  explicit MemoryStore(std::span<uint8_t> memory) : memory_(memory) {}

  absl::Status WriteAt(uint64_t offset, std::span<const uint8_t> bytes) override {
    if (offset > memory_.size() || bytes.size() > memory_.size() - offset) {
      return absl::OutOfRangeError("write past the end of the transfer's memory");
    }
    if (!bytes.empty()) std::memcpy(memory_.data() + offset, bytes.data(), bytes.size());
    return absl::OkStatus();
  }

 private:
  std::span<uint8_t> memory_;
};

}  // namespace skerry
