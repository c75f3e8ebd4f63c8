// Keeps the bytes of finished uploads: in memory up to a limit, beyond it in a spool. They are
// encoded (later also masked) already; nothing else of a node is ever spooled. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/transport/chunk.h"
#include "common/transport/frame.h"

namespace skerry {

// A node's position among those this process hosts.
using HostedIndex = StrongId<struct HostedIndexTag, uint32_t>;

// Space for uploads that do not fit in memory; the shell puts a SpoolFile behind it.
class UploadSpool {
 public:
  virtual ~UploadSpool() = default;
  // The offset to read the bytes back from. Fails if the disk is full.
  virtual absl::StatusOr<uint64_t> Append(std::span<const uint8_t> bytes) = 0;
  virtual absl::Status ReadAt(uint64_t offset, std::span<uint8_t> bytes) = 0;
  // The part is not needed any more.
  virtual void Discard(uint64_t offset, uint64_t size) = 0;
  // Nothing is needed any more.
  virtual void Clear() = 0;
};

class UploadStore {
 public:
  // `spool` outlives the store.
  UploadStore(uint64_t memory_bytes_max, UploadSpool* spool)
      : memory_bytes_max_(memory_bytes_max), spool_(spool) {}

  // Replaces what was kept for `node`. Fails with the spool's error, and nothing is kept then.
  absl::Status Put(HostedIndex node, Frame bytes);
  // A part of what was put; `range` lies within it. Shares the memory or reads the spool.
  absl::StatusOr<Frame> Read(HostedIndex node, ByteRange range) const;
  void Drop(HostedIndex node);
  void Clear();

  uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  using Body = std::variant<Frame, ByteRange>;  // in memory, or where in the spool

  uint64_t memory_bytes_max_;
  UploadSpool* spool_;
  absl::flat_hash_map<HostedIndex, Body> bodies_;
  uint64_t memory_bytes_ = 0;
  uint64_t spooled_count_ = 0;
};

}  // namespace skerry
