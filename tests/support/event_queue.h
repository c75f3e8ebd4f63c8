// Virtual time for simulations: actions at instants, carried out in order. Two actions at the same
// instant happen in the order in which they were planned, so a run depends on its seed only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "common/base/clock.h"

namespace skerry {

class EventQueue {
 public:
  Instant now() const { return now_; }
  uint64_t event_count() const { return event_count_; }

  void At(Instant when, std::function<void()> action) {
    events_.push_back({std::max(when, now_), planned_count_++, std::move(action)});
    std::push_heap(events_.begin(), events_.end(), IsLater);
  }
  void After(Duration delay, std::function<void()> action) { At(now_ + delay, std::move(action)); }

  // Jumps to the next event and carries it out; false if there is none.
  bool RunNext() {
    if (events_.empty()) return false;
    std::pop_heap(events_.begin(), events_.end(), IsLater);
    Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.at;
    ++event_count_;
    event.action();
    return true;
  }

 private:
  struct Event {
    Instant at;
    uint64_t number;
    std::function<void()> action;
  };
  static bool IsLater(const Event& a, const Event& b) {
    return a.at != b.at ? a.at > b.at : a.number > b.number;
  }

  std::vector<Event> events_;  // a heap
  Instant now_{};
  uint64_t planned_count_ = 0;
  uint64_t event_count_ = 0;
};

}  // namespace skerry
