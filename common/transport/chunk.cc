#include "common/transport/chunk.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {

ChunkSource::ChunkSource(uint64_t total_bytes, uint64_t chunk_bytes)
    : total_bytes_(total_bytes), chunk_bytes_(chunk_bytes) {
  SKERRY_ASSERT(chunk_bytes > 0);
}

absl::Status ChunkSource::Check(ChunkCredit credit) const {
  if (credit.offset > total_bytes_ || credit.credit_until > total_bytes_ ||
      credit.credit_until < credit.offset) {
    return absl::OutOfRangeError(
        fmt::format("credit must satisfy offset <= credit_until <= {}, got offset {} and "
                    "credit_until {}",
                    total_bytes_, credit.offset, credit.credit_until));
  }
  return absl::OkStatus();
}

absl::Status ChunkSource::Resume(ChunkCredit credit) {
  SKERRY_RETURN_IF_ERROR(Check(credit));
  position_ = credit.offset;
  credit_until_ = credit.credit_until;
  return absl::OkStatus();
}

absl::Status ChunkSource::Extend(ChunkCredit credit) {
  SKERRY_RETURN_IF_ERROR(Check(credit));
  if (credit.offset > position_) {
    return absl::OutOfRangeError(
        fmt::format("the peer claims {} bytes, only {} were sent", credit.offset, position_));
  }
  credit_until_ = std::max(credit_until_, credit.credit_until);
  return absl::OkStatus();
}

std::optional<ByteRange> ChunkSource::Next() const {
  const uint64_t size = std::min(chunk_bytes_, credit_until_ - position_);
  if (size == 0) return std::nullopt;
  return ByteRange{position_, size};
}

void ChunkSource::Advance() {
  const std::optional<ByteRange> chunk = Next();
  SKERRY_ASSERT(chunk.has_value());
  position_ += chunk->size;
}

ChunkSink::ChunkSink(uint64_t total_bytes, uint64_t window_bytes)
    : total_bytes_(total_bytes), window_bytes_(window_bytes) {
  SKERRY_ASSERT(window_bytes > 0);
}

uint64_t ChunkSink::WindowEnd() const {
  return position_ + std::min(window_bytes_, total_bytes_ - position_);
}

ChunkCredit ChunkSink::Restart() {
  credit_until_ = WindowEnd();
  return {position_, credit_until_};
}

std::optional<ChunkCredit> ChunkSink::TakeCredit() {
  const uint64_t end = WindowEnd();
  if (end <= credit_until_) return std::nullopt;
  // Half a window at a time: fewer messages, and the sender still never runs dry.
  if (end - credit_until_ < (window_bytes_ + 1) / 2 && end != total_bytes_) return std::nullopt;
  return Restart();
}

absl::Status ChunkSink::Write(uint64_t offset, std::span<const uint8_t> bytes, ByteStore& store) {
  if (offset > total_bytes_ || bytes.size() > total_bytes_ - offset) {
    return absl::OutOfRangeError(
        fmt::format("a chunk of {} bytes at {} passes the end of the transfer at {}", bytes.size(),
                    offset, total_bytes_));
  }
  const uint64_t end = offset + bytes.size();
  if (end <= position_) return absl::OkStatus();  // a repeat
  if (offset > position_) {
    return absl::FailedPreconditionError(
        fmt::format("expected a chunk at {}, got one at {}", position_, offset));
  }
  if (end > credit_until_) {
    return absl::OutOfRangeError(
        fmt::format("a chunk ends at {}, past the credit given up to {}", end, credit_until_));
  }
  SKERRY_RETURN_IF_ERROR(store.WriteAt(position_, bytes.subspan(position_ - offset)));
  position_ = end;
  return absl::OkStatus();
}

}  // namespace skerry
