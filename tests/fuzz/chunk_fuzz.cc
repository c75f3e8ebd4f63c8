// A chunked transfer between a sender and a receiver of ours, over a link that loses connections
// and on which a hostile peer also speaks: offsets, sizes and credits of any 64-bit value.
//
// Neither side ever passes the end or its credit, what has arrived is always the beginning of what
// was sent, a refused chunk changes nothing, and whatever was said before, a new connection
// completes the transfer.
#include <algorithm>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/transport/byte_store.h"
#include "common/transport/chunk.h"
#include "tests/fuzz/fuzz_support.h"

namespace skerry {
namespace {

// Long enough for many windows and short enough that a transfer in chunks of one byte takes a
// millisecond.
constexpr size_t kContentBytesMax = 8191;

// Memory in which every byte ever written is what the sender has there, and no byte lies past a
// gap: so what has arrived is right after every write, at the price of looking at that write alone.
class CheckedStore final : public ByteStore {
 public:
  explicit CheckedStore(std::span<const uint8_t> content) : content_(content) {}

  absl::Status WriteAt(uint64_t offset, std::span<const uint8_t> bytes) override {
    SKERRY_ASSERT(offset == received_.size() && bytes.size() <= content_.size() - offset);
    const auto expected = content_.subspan(offset, bytes.size());
    SKERRY_ASSERT(std::equal(bytes.begin(), bytes.end(), expected.begin()));
    received_.insert(received_.end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  }

  const std::vector<uint8_t>& received() const { return received_; }

 private:
  std::span<const uint8_t> content_;
  std::vector<uint8_t> received_;
};

class Transfer {
 public:
  explicit Transfer(fuzz::InputReader& input)
      : content_(Content(input.Number<uint16_t>() % (kContentBytesMax + 1))),
        store_(content_),
        source_(content_.size(), 1u + input.Number<uint8_t>()),
        sink_(content_.size(), 1u + input.Number<uint16_t>()) {
    Reconnect();
  }

  void Step(fuzz::InputReader& input) {
    switch (input.Number<uint8_t>() % 7) {
      case 0:
        return DeliverCredit();
      case 1:
        return SendChunk();
      case 2:
        return DeliverChunk();
      case 3:
        if (const auto credit = sink_.TakeCredit()) credits_.push_back(*credit);
        return;
      case 4:
        return Reconnect();
      case 5: {
        const auto offset = input.Number<uint64_t>();
        return Write(offset, BytesAt(offset, input.Number<uint16_t>()));
      }
      default: {
        const auto offset = input.Number<uint64_t>();
        const ChunkCredit credit{offset, input.Number<uint64_t>()};
        const uint64_t before = source_.position();
        const absl::Status status =
            input.Number<uint8_t>() % 2 == 0 ? source_.Extend(credit) : source_.Resume(credit);
        if (!status.ok()) {
          fuzz::CheckRefusal(status);
          SKERRY_ASSERT(source_.position() == before);
        }
        return CheckSource();
      }
    }
  }

  void Finish() {
    Reconnect();
    // Each turn moves a byte at least.
    for (size_t turn = 0; !sink_.is_complete(); ++turn) {
      SKERRY_ASSERT(turn <= content_.size());
      DeliverCredit();
      while (source_.Next().has_value()) {
        SendChunk();
        DeliverChunk();
        if (const auto credit = sink_.TakeCredit()) credits_.push_back(*credit);
      }
    }
    SKERRY_ASSERT(store_.received() == content_);
  }

 private:
  static std::vector<uint8_t> Content(size_t size) {
    static const std::vector<uint8_t> longest = [] {
      std::vector<uint8_t> content(kContentBytesMax);
      for (size_t i = 0; i < content.size(); ++i) {
        content[i] = static_cast<uint8_t>(i * 167 + i / 256);
      }
      return content;
    }();
    return {longest.begin(), longest.begin() + static_cast<ptrdiff_t>(size)};
  }

  // What lies there, and zeros past the end.
  std::vector<uint8_t> BytesAt(uint64_t offset, size_t size) const {
    std::vector<uint8_t> bytes(size);
    if (offset >= content_.size()) return bytes;
    const size_t there = std::min(size, content_.size() - offset);
    std::copy_n(content_.begin() + static_cast<ptrdiff_t>(offset), there, bytes.begin());
    return bytes;
  }

  void Reconnect() {
    source_.Suspend();
    SKERRY_ASSERT(!source_.Next().has_value());
    chunks_.clear();
    credits_ = {sink_.Restart()};
    is_resuming_ = true;
  }

  void DeliverCredit() {
    if (credits_.empty()) return;
    const ChunkCredit credit = credits_.front();
    credits_.pop_front();
    if (std::exchange(is_resuming_, false)) {
      SKERRY_ASSERT(source_.Resume(credit).ok());
    } else {
      // Refused if a hostile credit has put the source elsewhere.
      const absl::Status ignored = source_.Extend(credit);
    }
    CheckSource();
  }

  void SendChunk() {
    const std::optional<ByteRange> chunk = source_.Next();
    if (!chunk.has_value()) return;
    source_.Advance();
    chunks_.push_back(*chunk);
    CheckSource();
  }

  void DeliverChunk() {
    if (chunks_.empty()) return;
    const ByteRange chunk = chunks_.front();
    chunks_.pop_front();
    Write(chunk.offset, BytesAt(chunk.offset, chunk.size));
  }

  void Write(uint64_t offset, const std::vector<uint8_t>& bytes) {
    const uint64_t before = sink_.position();
    const absl::Status status = sink_.Write(offset, bytes, store_);
    if (!status.ok()) {
      fuzz::CheckRefusal(status);
      SKERRY_ASSERT(sink_.position() == before);
    }
    SKERRY_ASSERT(sink_.position() == store_.received().size());
  }

  void CheckSource() const {
    SKERRY_ASSERT(source_.position() <= content_.size());
    const std::optional<ByteRange> next = source_.Next();
    if (!next.has_value()) return;
    SKERRY_ASSERT(next->offset == source_.position() && next->size > 0);
    SKERRY_ASSERT(next->size <= content_.size() - next->offset);
  }

  std::vector<uint8_t> content_;
  CheckedStore store_;
  ChunkSource source_;
  ChunkSink sink_;
  std::deque<ByteRange> chunks_;
  std::deque<ChunkCredit> credits_;
  bool is_resuming_ = true;
};

}  // namespace
}  // namespace skerry

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  skerry::fuzz::InputReader input({data, size});
  skerry::Transfer transfer(input);
  while (!input.is_empty()) transfer.Step(input);
  transfer.Finish();
  return 0;
}
