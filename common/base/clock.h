// Time as an argument. Machines take `Instant now`; only shells ask a Clock for it.
#pragma once

#include <chrono>
#include <cstdint>

namespace skerry {

// Tag of the monotonic time line. It has no now() on purpose: ask a Clock.
struct MonotonicTime {
  using rep = int64_t;
  using period = std::nano;
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<MonotonicTime, duration>;
  static constexpr bool is_steady = true;
};

using Duration = std::chrono::nanoseconds;
using Instant = std::chrono::time_point<MonotonicTime, Duration>;

inline double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back, unaffected by changes of the wall clock.
  virtual Instant Now() const = 0;
  // Milliseconds since 1970-01-01 UTC. For people and reports only; may jump.
  virtual int64_t WallUnixMs() const = 0;
};

// The machine's clocks. The one place that reads them.
const Clock& SystemClock();

}  // namespace skerry
