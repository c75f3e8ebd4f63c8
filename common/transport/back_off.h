// How long to wait before the next try of something that keeps failing.
#pragma once

#include <chrono>

#include "common/base/clock.h"
#include "common/base/rng.h"

namespace skerry {

// Doubles from `shortest` to `longest`. Each wait is drawn from the upper half of its step, so that
// agents that lost the same coordinator do not come back at the same moment.
class BackOff {
 public:
  BackOff(Duration shortest, Duration longest);

  Duration Next(Rng& rng);
  // After a success: the next wait is short again.
  void Reset() { step_ = shortest_; }

 private:
  Duration shortest_;
  Duration longest_;
  Duration step_;
};

}  // namespace skerry
