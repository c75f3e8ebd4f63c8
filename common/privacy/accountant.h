// The door to the accountants: epsilon of what was released, and the noise for a wanted epsilon.
// Pure functions; all refuse impossible requests with kInvalidArgument and a message for the user.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/privacy/privacy_event.h"

namespace skerry {

enum class Accountant {
  kPld,       // tight, for Poisson sampling and without; pld_accountant.h
  kRdp,       // a looser cross-check; rdp_accountant.h
  kAnalytic,  // exact, without sampling only; analytic_gaussian.h
};

// "pld", "rdp", "analytic".
std::string_view NameOf(Accountant accountant);

// The exact accountant where it applies, otherwise the privacy loss distribution.
Accountant BestAccountant(Sampling sampling);

// An epsilon that all events together do not exceed at `delta`; 0 for no events. kAnalytic refuses
// events with sampling.
absl::StatusOr<double> EpsilonFor(std::span<const PrivacyEvent> events, double delta,
                                  Accountant accountant);

// Steps of which only the noise is wanted.
struct CalibrationRequest {
  double epsilon = 0.0;
  double delta = 0.0;
  Sampling sampling = Sampling::Everyone();
  int64_t steps = 1;
  Adjacency adjacency = Adjacency::kAddRemove;
};

// The smallest noise multiplier whose epsilon, by the same accountant, is within the request's,
// rounded up: EpsilonFor of the result is at most request.epsilon, and more than a thousandth below
// it only if epsilon is so small (or delta so large) that the accountant's own resolution, 1e-4,
// shows. kNoiseMultiplierMin if less noise would do.
absl::StatusOr<double> NoiseMultiplierFor(const CalibrationRequest& request, Accountant accountant);

}  // namespace skerry
