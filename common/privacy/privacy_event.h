// What was, or will be, released: the mechanisms that an accountant adds up.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "common/config/job_config.h"

namespace skerry {

// How a step picks its units. Only Poisson sampling, an independent and secret coin for each unit,
// amplifies privacy here: there is no way to make a fixed-size cohort or a shuffled batch amplify,
// because the accountants' formulas do not hold for them.
class Sampling {
 public:
  // Everyone takes part, or the observer knows who did.
  static Sampling Everyone() { return Sampling(1.0); }

  // A cohort of a fixed size, a shuffled batch, a round-robin: accounted as if everyone took part.
  static Sampling FixedSize() { return Sampling(1.0); }

  // Each unit joins independently with probability `rate`, and nobody learns who joined.
  static Sampling Poisson(double rate) { return Sampling(rate); }

  // The probability that accountants may use.
  double amplifying_rate() const { return rate_; }

 private:
  explicit Sampling(double rate) : rate_(rate) {}

  double rate_;
};

// `steps` releases of a sum of clipped contributions with Gaussian noise of standard deviation
// noise_multiplier * C. The noise is that under either relation between data sets: adding or
// removing a unit moves the sum by C, replacing one by another by up to 2 C, which the accountants
// see to.
struct PrivacyEvent {
  double noise_multiplier = 0.0;
  Sampling sampling = Sampling::Everyone();
  int64_t steps = 1;
  Adjacency adjacency = Adjacency::kAddRemove;
};

inline constexpr double kNoiseMultiplierMin = 0.01;
inline constexpr double kNoiseMultiplierMax = 1e6;
inline constexpr double kSamplingRateMin = 1e-9;
inline constexpr int64_t kStepsMax = 1'000'000;
inline constexpr double kDeltaMin = 1e-100;

// kInvalidArgument, saying what was expected and what came, if a number is outside the limits above
// (a rate above 1, a noise that is not a number), or events are not all under one adjacency.
absl::Status CheckEvents(std::span<const PrivacyEvent> events);

// kInvalidArgument unless kDeltaMin <= delta < 1.
absl::Status CheckDelta(double delta);

}  // namespace skerry
