// The only thing two threads share: a queue with a limit. Any thread may call any method.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace skerry {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t item_count_max) : item_count_max_(item_count_max) {}

  // Waits while the queue is full. False once it is closed; the item is then dropped.
  bool Push(T item) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return items_.size() < item_count_max_ || is_closed_; });
    if (is_closed_) return false;
    items_.push_back(std::move(item));
    not_empty_.notify_one();
    return true;
  }

  // False, and the item is dropped, if the queue is full or closed.
  bool TryPush(T item) {
    std::unique_lock lock(mutex_);
    if (items_.size() >= item_count_max_ || is_closed_) return false;
    items_.push_back(std::move(item));
    not_empty_.notify_one();
    return true;
  }

  // Waits for an item. Empty once the queue is closed and drained.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return !items_.empty() || is_closed_; });
    return TakeFront();
  }

  // Empty if there is nothing right now.
  std::optional<T> TryPop() {
    std::unique_lock lock(mutex_);
    return TakeFront();
  }

  // Wakes everyone. Items already queued can still be popped.
  void Close() {
    std::unique_lock lock(mutex_);
    is_closed_ = true;
    not_full_.notify_all();
    not_empty_.notify_all();
  }

  size_t size() const {
    std::unique_lock lock(mutex_);
    return items_.size();
  }

 private:
  std::optional<T> TakeFront() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    not_full_.notify_one();
    return item;
  }

  const size_t item_count_max_;
  mutable std::mutex mutex_;
  std::condition_variable not_full_;
  std::condition_variable not_empty_;
  std::deque<T> items_;
  bool is_closed_ = false;
};

}  // namespace skerry
