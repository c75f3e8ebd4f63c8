// The tight accountant: privacy loss distributions of Poisson-sampled Gaussian steps, composed
// numerically with every error bounded.
#pragma once

#include <span>

#include "absl/status/statusor.h"
#include "common/privacy/privacy_event.h"

namespace skerry {

// The smallest epsilon of the events together at a delta lies between these. Both are rigorous up
// to the bounds on floating-point error that loss_grid.h and fourier.h state.
struct EpsilonBounds {
  double lower = 0.0;
  double upper = 0.0;
};

// Bounds that differ by at most 0.5 % of the upper one or 1e-4, whichever is more, and usually by a
// tenth of that. Only if that would take a grid of more than a million points, which README.md says
// where, do they differ by more; the upper bound is one all the same. Fails with kInvalidArgument
// if CheckEvents or CheckDelta does.
absl::StatusOr<EpsilonBounds> PldEpsilon(std::span<const PrivacyEvent> events, double delta);

}  // namespace skerry
