#include "agent/session/upload_store.h"

#include <utility>
#include <vector>

#include "common/base/status.h"

namespace skerry {

absl::Status UploadStore::Put(HostedIndex node, Frame bytes) {
  Drop(node);
  const uint64_t size = bytes.size();
  if (size <= memory_bytes_max_ - memory_bytes_) {
    memory_bytes_ += size;
    bodies_.emplace(node, std::move(bytes));
    return absl::OkStatus();
  }
  SKERRY_ASSIGN_OR_RETURN(const uint64_t offset, spool_->Append(bytes.bytes()));
  ++spooled_count_;
  bodies_.emplace(node, ByteRange{offset, size});
  return absl::OkStatus();
}

absl::StatusOr<Frame> UploadStore::Read(HostedIndex node, ByteRange range) const {
  const auto it = bodies_.find(node);
  SKERRY_ASSERT(it != bodies_.end());
  if (const Frame* frame = std::get_if<Frame>(&it->second)) {
    SKERRY_ASSERT(range.offset + range.size <= frame->size());
    if (range.size == frame->size()) return *frame;
    return Frame::Borrow(frame->bytes().subspan(range.offset, range.size), frame->keep_alive());
  }
  const ByteRange& place = std::get<ByteRange>(it->second);
  SKERRY_ASSERT(range.offset + range.size <= place.size);
  std::vector<uint8_t> bytes(range.size);
  SKERRY_RETURN_IF_ERROR(spool_->ReadAt(place.offset + range.offset, bytes));
  return Frame::Own(std::move(bytes));
}

void UploadStore::Drop(HostedIndex node) {
  const auto it = bodies_.find(node);
  if (it == bodies_.end()) return;
  if (const Frame* frame = std::get_if<Frame>(&it->second)) {
    memory_bytes_ -= frame->size();
  } else {
    const ByteRange& place = std::get<ByteRange>(it->second);
    spool_->Discard(place.offset, place.size);
    // An empty spool starts over, so that it does not grow from round to round.
    if (--spooled_count_ == 0) spool_->Clear();
  }
  bodies_.erase(it);
}

void UploadStore::Clear() {
  bodies_.clear();
  memory_bytes_ = 0;
  if (spooled_count_ > 0) spool_->Clear();
  spooled_count_ = 0;
}

}  // namespace skerry
