#include "common/secagg/job_encoding.h"

#include <cmath>

#include <fmt/format.h>

#include "common/config/privacy_rules.h"

namespace skerry {
namespace {

// Sums of discrete Gaussians of so many units differ from one by less than 1e-60, and that is what
// is left out of the accounting (Kairouz, Liu and Steinke 2021, theorem 1).
constexpr double kNoiseShareMin = 4;

// What a sum is divided by: public numbers, whoever has sampled how much.
void SetDivisor(const JobConfig& job, EncodingLimits& limits) {
  const auto nodes = static_cast<double>(job.round.nodes);
  if (IsGradientRound(job.privacy)) {
    // The expected batch, as far as the nodes in the sum have it.
    limits.divisor_per_update =
        job.privacy.sampling.rate * static_cast<double>(job.privacy.records) / nodes;
  } else if (job.privacy.unit == PrivacyUnit::kClient) {
    limits.divisor = ExpectedCohort(job);  // who came is private itself
  } else {
    limits.divisor_per_update = 1;
  }
}

absl::Status TooFewForBits(const JobConfig& job) {
  const double z = *job.privacy.noise_multiplier;
  return absl::InvalidArgumentError(fmt::format(
      "privacy.adaptive_clip needs a noise multiplier below {:.4g}, twice the noise on the nodes' "
      "bits ({:.4g}, by default a twentieth of the cohort of {:g}); it is {:.4g}. Take a fixed "
      "privacy.clip_norm, a cohort of {:.0f} or more nodes, or a larger epsilon",
      2 * ClipBitNoise(job), ClipBitNoise(job), ExpectedCohort(job), z, std::floor(10 * z) + 1));
}

}  // namespace

double NoiseShare(const JobConfig& job, double clip_norm, size_t parameter_count, int scale_bits) {
  const double sensitivity =
      std::ldexp(clip_norm, scale_bits) + std::sqrt(static_cast<double>(parameter_count));
  return UpdateNoiseMultiplier(job) * sensitivity /
         std::sqrt(static_cast<double>(NoisySurvivors(job)));
}

double NoiseShare(const JobConfig& job, size_t parameter_count, int scale_bits) {
  return NoiseShare(job, job.privacy.clip_norm, parameter_count, scale_bits);
}

double ClipBitShare(const JobConfig& job) {
  if (!job.privacy.adaptive_clip.has_value()) return 0;
  return ClipBitNoise(job) * static_cast<double>(kClipBitUnit) /
         std::sqrt(static_cast<double>(NoisySurvivors(job)));
}

double SmallestClip(size_t parameter_count, int scale_bits) {
  return std::ldexp(kRoundingShareMin * std::sqrt(static_cast<double>(parameter_count)),
                    -scale_bits);
}

absl::StatusOr<UpdateEncoding> EncodingOf(const JobConfig& job, size_t parameter_count) {
  const PrivacyConfig& privacy = job.privacy;
  UpdateLayout layout{.parameter_count = parameter_count, .has_metrics = job.evaluation.on_nodes};
  EncodingLimits limits{.node_count_max = InvitedCount(job.round),
                        .range = job.encoding.range,
                        .weight_cap = job.encoding.weight_cap};
  if (!privacy.enabled) return UpdateEncoding::Create(layout, limits);
  layout.has_counts = false;
  limits.weight_cap = 1;
  SetDivisor(job, limits);
  if (privacy.placement == NoisePlacement::kAgent) return UpdateEncoding::Create(layout, limits);
  if (!privacy.noise_multiplier) {
    return absl::FailedPreconditionError("privacy.noise_multiplier is not known yet");
  }
  if (!std::isfinite(UpdateNoiseMultiplier(job))) return TooFewForBits(job);
  // Rounding moves a sum by less than sqrt(d); that is to be small beside the clip norm.
  const double smallest =
      privacy.adaptive_clip ? privacy.adaptive_clip->initial : privacy.clip_norm;
  const double rounding = std::sqrt(static_cast<double>(parameter_count));
  const double least = std::log2(kRoundingShareMin * rounding / smallest);
  // A coordinator that fills the noise of secret cohorts up draws nearly all shares at once.
  const bool is_shared = privacy.placement == NoisePlacement::kDistributed;
  const double shares_at_once =
      is_shared && HasSecretCohorts(job) ? static_cast<double>(SecretCohortBounds(job).largest) : 1;
  while (limits.scale_bits_max > kScaleBitsMin &&
         NoiseShare(job, parameter_count, limits.scale_bits_max) * std::sqrt(shares_at_once) >
             kNoiseShareMax) {
    --limits.scale_bits_max;
  }
  limits.noise = std::ldexp(NoiseShare(job, parameter_count, kScaleBitsMin), -kScaleBitsMin) *
                 std::sqrt(is_shared ? static_cast<double>(limits.node_count_max) : 1.0);
  layout.has_clip_bit = privacy.adaptive_clip.has_value();
  limits.clip_bit_noise = ClipBitShare(job) / static_cast<double>(kClipBitUnit) *
                          std::sqrt(is_shared ? static_cast<double>(limits.node_count_max) : 1.0);
  absl::StatusOr<UpdateEncoding> encoding = UpdateEncoding::Create(layout, limits);
  if (encoding.ok()) {
    const double share = NoiseShare(job, parameter_count, encoding->scale_bits());
    if (share < kNoiseShareMin) {
      return absl::InvalidArgumentError(fmt::format(
          "a node's noise has a standard deviation of {:.3g} units of 2^-{}, and the accounting of "
          "sums of discrete noise takes at least {:g}: noise multiplier {:.3g} on a clip norm of "
          "{:g} is too little for {} parameter{}. Lower privacy.epsilon",
          share, encoding->scale_bits(), kNoiseShareMin, *privacy.noise_multiplier,
          privacy.clip_norm, parameter_count, parameter_count == 1 ? "" : "s"));
    }
  }
  if (encoding.ok() && encoding->scale_bits() < least) {
    return absl::InvalidArgumentError(fmt::format(
        "updates are rounded to multiples of 2^-{}, but {} parameters and a clip norm of {} take "
        "2^-{:.0f} if rounding is to stay below 1/{:.0f} of it: lower encoding.range or raise "
        "privacy.clip_norm",
        encoding->scale_bits(), parameter_count, smallest, std::ceil(least), kRoundingShareMin));
  }
  return encoding;
}

}  // namespace skerry
