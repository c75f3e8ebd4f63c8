// The search for the noise at which an accountant reports a given epsilon.
#pragma once

#include <functional>

#include "absl/status/statusor.h"

namespace skerry {

// Epsilon as a decreasing function of the noise multiplier, asked between kNoiseMultiplierMin and
// kNoiseMultiplierMax only.
using EpsilonOfNoise = std::function<absl::StatusOr<double>(double noise_multiplier)>;

// The smallest noise multiplier with epsilon_of(noise) <= target, rounded up until its epsilon is
// at most half a thousandth below the target, or, where epsilon_of jumps, until the noise is within
// 1e-9 of itself. kNoiseMultiplierMin if that much is enough. `guess` is where to begin. Fails as
// epsilon_of does, and with kInvalidArgument if kNoiseMultiplierMax is not enough.
absl::StatusOr<double> FindNoise(const EpsilonOfNoise& epsilon_of, double target, double guess);

}  // namespace skerry
