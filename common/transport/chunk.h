// The arithmetic of a chunked transfer with credit, the same for models going down and uploads
// going up. No sockets, no clock.
//
// The receiver says how far it has come (`offset`) and up to where the sender may send
// (`credit_until`); the sender cuts chunks below that. Over one connection chunks arrive in order
// and complete. A new connection starts with a new credit message, whose offset is where the
// sender goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/transport/byte_store.h"

namespace skerry {

struct ByteRange {
  uint64_t offset = 0;
  uint64_t size = 0;
  bool operator==(const ByteRange&) const = default;
};

struct ChunkCredit {
  uint64_t offset = 0;        // first byte the receiver does not have
  uint64_t credit_until = 0;  // the sender may send bytes below this
  bool operator==(const ChunkCredit&) const = default;
};

// The sender's side of one transfer. Has no credit until Resume.
class ChunkSource {
 public:
  ChunkSource(uint64_t total_bytes, uint64_t chunk_bytes);

  // The first credit of a connection: goes on at credit.offset, wherever it stood before.
  // kOutOfRange, and nothing changes, if it points past the end.
  absl::Status Resume(ChunkCredit credit);
  // Further credit on the same connection. The offset only tells what has arrived; credit never
  // shrinks, so a repeated or overtaken message changes nothing. kOutOfRange as above, and if the
  // peer claims bytes that were not sent yet.
  absl::Status Extend(ChunkCredit credit);
  // The connection is lost: nothing is sent before the next Resume.
  void Suspend() { credit_until_ = position_; }

  // The next chunk to send, none if complete or out of credit. Repeats itself until Advance.
  std::optional<ByteRange> Next() const;
  // The chunk Next gave was handed to the transport.
  void Advance();

  uint64_t position() const { return position_; }
  uint64_t total_bytes() const { return total_bytes_; }
  bool is_complete() const { return position_ == total_bytes_; }

 private:
  absl::Status Check(ChunkCredit credit) const;

  uint64_t total_bytes_;
  uint64_t chunk_bytes_;
  uint64_t position_ = 0;
  uint64_t credit_until_ = 0;
};

// The receiver's side of one transfer. The caller has checked the announced total against the one
// it expects, before allocating anything for it.
class ChunkSink {
 public:
  // Never has more than about `window_bytes` on the way.
  ChunkSink(uint64_t total_bytes, uint64_t window_bytes);

  // The credit that starts or resumes the transfer on a new connection.
  ChunkCredit Restart();
  // Credit that is due because half of the window was used up; none otherwise. Each is given once.
  std::optional<ChunkCredit> TakeCredit();

  // Stores what is new of a chunk. Bytes that arrived before are ignored. kOutOfRange for a chunk
  // past the end or without credit, kFailedPrecondition for a gap (the start of the chunk has not
  // been reached: it belongs to an older connection or the peer is broken), or the store's error.
  // After any of these the sink stands where it stood.
  absl::Status Write(uint64_t offset, std::span<const uint8_t> bytes, ByteStore& store);

  uint64_t position() const { return position_; }
  uint64_t total_bytes() const { return total_bytes_; }
  bool is_complete() const { return position_ == total_bytes_; }

 private:
  uint64_t WindowEnd() const;

  uint64_t total_bytes_;
  uint64_t window_bytes_;
  uint64_t position_ = 0;
  uint64_t credit_until_ = 0;
};

}  // namespace skerry
