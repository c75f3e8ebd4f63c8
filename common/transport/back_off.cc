#include "common/transport/back_off.h"

#include <algorithm>

#include "common/base/status.h"

namespace skerry {

BackOff::BackOff(Duration shortest, Duration longest)
    : shortest_(shortest), longest_(longest), step_(shortest) {
  SKERRY_ASSERT(shortest.count() > 0 && shortest <= longest);
}

Duration BackOff::Next(Rng& rng) {
  const Duration half = step_ / 2;
  const auto jitter = static_cast<Duration::rep>(static_cast<double>(half.count()) * rng.Uniform());
  const Duration wait = step_ - half + Duration(jitter);
  step_ = step_ > longest_ / 2 ? longest_ : step_ * 2;
  return wait;
}

}  // namespace skerry
