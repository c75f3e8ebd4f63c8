// The encoding that a job prescribes. Coordinator and agents compute it from the same job, so its
// numbers need not travel.
#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/secagg/fixed_point.h"

namespace skerry {

// With noise on the sum a clipped update is at least so many times longer than its rounding error.
inline constexpr double kRoundingShareMin = 256;
// The largest standard deviation of one draw of noise, in units of the encoding: the sampler's
// limit.
inline constexpr double kNoiseShareMax = 1 << 24;

// Standard deviation, in units of 2^-scale_bits, of the noise that each node adds to a sum if
// privacy.placement is distributed: z (C 2^f + sqrt(d)) / sqrt(m - c). With m - c honest survivors
// at the least the sum then has the noise multiplier z, for a clip norm that counts the rounding
// too (Kairouz et al. 2021). With placement coordinator the one draw that it adds: that without
// the divisor. privacy.noise_multiplier must be known.
//
// With an adaptive clip norm z is UpdateNoiseMultiplier, and C the round's; privacy.clip_norm, the
// largest, if it is not given.
double NoiseShare(const JobConfig& job, double clip_norm, size_t parameter_count, int scale_bits);
double NoiseShare(const JobConfig& job, size_t parameter_count, int scale_bits);
// The same for the clip bit; 0 if the job has none.
double ClipBitShare(const JobConfig& job);

// The smallest clip norm for updates that are rounded to multiples of 2^-scale_bits.
double SmallestClip(size_t parameter_count, int scale_bits);

// For a model of `parameter_count` parameters. A sum holds at most as many updates as a round
// invites nodes. Fails with kInvalidArgument, with the numbers, if such a sum could wrap.
absl::StatusOr<UpdateEncoding> EncodingOf(const JobConfig& job, size_t parameter_count);

}  // namespace skerry
