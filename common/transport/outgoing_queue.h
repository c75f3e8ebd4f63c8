// Control messages that one connection could not take yet, oldest first, bounded in bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

#include "common/transport/frame.h"

namespace skerry {

class OutgoingQueue {
 public:
  explicit OutgoingQueue(size_t bytes_max) : bytes_max_(bytes_max) {}

  // False, and nothing is queued, if the bound would be passed. A single message always fits.
  bool Push(Message message) {
    const size_t cost = message.size() + kMessageOverheadBytes;
    if (!messages_.empty() && cost > bytes_max_ - std::min(bytes_, bytes_max_)) return false;
    bytes_ += cost;
    messages_.push_back(std::move(message));
    return true;
  }

  // Hands messages to `send` (bool(const Message&)) until it refuses one, which stays.
  // True once the queue is empty.
  template <typename SendFunction>
  bool Flush(SendFunction send) {
    while (!messages_.empty()) {
      if (!send(messages_.front())) return false;
      bytes_ -= messages_.front().size() + kMessageOverheadBytes;
      messages_.pop_front();
    }
    return true;
  }

  void Clear() {
    messages_.clear();
    bytes_ = 0;
  }
  bool is_empty() const { return messages_.empty(); }

 private:
  // So that empty messages cannot pile up without limit.
  static constexpr size_t kMessageOverheadBytes = 256;

  size_t bytes_max_;
  size_t bytes_ = 0;
  std::deque<Message> messages_;
};

}  // namespace skerry
