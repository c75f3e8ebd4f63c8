#include "common/privacy/privacy_event.h"

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

// Written so that a NaN is refused.
bool IsWithin(double value, double low, double high) { return value >= low && value <= high; }

absl::Status CheckEvent(const PrivacyEvent& event) {
  if (!IsWithin(event.noise_multiplier, kNoiseMultiplierMin, kNoiseMultiplierMax)) {
    return absl::InvalidArgumentError(fmt::format(
        "the noise multiplier must be {}..{}, got {}: without noise there is no epsilon",
        kNoiseMultiplierMin, kNoiseMultiplierMax, event.noise_multiplier));
  }
  if (!IsWithin(event.sampling.amplifying_rate(), kSamplingRateMin, 1.0)) {
    return absl::InvalidArgumentError(
        fmt::format("the sampling rate must be {}..1, got {}: it is the probability with which a "
                    "unit takes part in a step",
                    kSamplingRateMin, event.sampling.amplifying_rate()));
  }
  if (event.steps < 1 || event.steps > kStepsMax) {
    return absl::InvalidArgumentError(
        fmt::format("the number of steps must be 1..{}, got {}", kStepsMax, event.steps));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckEvents(std::span<const PrivacyEvent> events) {
  int64_t steps = 0;
  for (const PrivacyEvent& event : events) {
    SKERRY_RETURN_IF_ERROR(CheckEvent(event));
    steps += event.steps;
    if (steps > kStepsMax) {
      return absl::InvalidArgumentError(
          fmt::format("all events together must have at most {} steps", kStepsMax));
    }
    if (event.adjacency != events.front().adjacency) {
      return absl::InvalidArgumentError(
          "events under add_remove and under replace_one do not add up: account for all of them "
          "under one adjacency");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDelta(double delta) {
  if (!(delta >= kDeltaMin && delta < 1.0)) {
    return absl::InvalidArgumentError(
        fmt::format("delta must be at least {} and below 1, got {}: choose one well below 1 / "
                    "(number of units), for example 1e-5",
                    kDeltaMin, delta));
  }
  return absl::OkStatus();
}

}  // namespace skerry
