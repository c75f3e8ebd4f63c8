// The cross-check: Renyi differential privacy. Sound and quick, but looser than the privacy loss
// distribution, by 6 to 10 % for many steps and much more for few steps at small sampling rates.
#pragma once

#include <span>

#include "absl/status/statusor.h"
#include "common/privacy/privacy_event.h"

namespace skerry {

// The Renyi divergence of `order` > 1 between the outputs of one step of `event` for neighbouring
// data sets: Mironov, Talwar and Zhang, "Renyi Differential Privacy of the Sampled Gaussian
// Mechanism" (2019). By the binomial sum for integer orders under add_remove, otherwise by
// numerical integration; for the largest orders at tiny noise, where that would take too long, the
// divergence without sampling, which is larger. The event is within CheckEvents' limits.
double RenyiDivergence(const PrivacyEvent& event, double order);

// An upper bound on epsilon of all events together, over a grid of orders. Fails with
// kInvalidArgument if CheckEvents or CheckDelta does.
absl::StatusOr<double> RdpEpsilon(std::span<const PrivacyEvent> events, double delta);

}  // namespace skerry
