#include "common/privacy/privacy_plan.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/config/privacy_rules.h"
#include "common/privacy/accountant.h"

namespace skerry {
namespace {

// Two descriptions of one guarantee may differ by so much of it.
constexpr double kAgreement = 0.02;

Sampling SamplingOf(const JobConfig& job) {
  if (job.privacy.unit == PrivacyUnit::kClient) return Sampling::Everyone();
  return job.privacy.sampling.scheme == SamplingScheme::kPoisson
             ? Sampling::Poisson(job.privacy.sampling.rate)
             : Sampling::FixedSize();
}

}  // namespace

PrivacyEvent EventOfRounds(const JobConfig& job, int64_t rounds) {
  return {.noise_multiplier = *job.privacy.noise_multiplier,
          .sampling = SamplingOf(job),
          .steps = rounds * StepsPerRound(job),
          .adjacency = job.privacy.adjacency};
}

absl::StatusOr<double> EpsilonAfter(const JobConfig& job, int64_t rounds) {
  if (rounds == 0) return 0.0;
  const PrivacyEvent event = EventOfRounds(job, rounds);
  return EpsilonFor({&event, 1}, job.privacy.delta, BestAccountant(event.sampling));
}

double QuickEpsilonAfter(const JobConfig& job, int64_t rounds) {
  if (rounds == 0) return 0.0;
  const PrivacyEvent event = EventOfRounds(job, rounds);
  const absl::StatusOr<double> bound = EpsilonFor({&event, 1}, job.privacy.delta, Accountant::kRdp);
  const double planned = rounds <= job.round.count ? *job.privacy.epsilon : HUGE_VAL;
  return std::min(bound.value_or(HUGE_VAL), planned);
}

absl::Status CompletePrivacy(JobConfig& job) {
  PrivacyConfig& privacy = job.privacy;
  if (!privacy.enabled) return absl::OkStatus();
  const Sampling sampling = SamplingOf(job);
  if (!privacy.noise_multiplier) {
    SKERRY_ASSIGN_OR_RETURN(privacy.noise_multiplier,
                            NoiseMultiplierFor({.epsilon = *privacy.epsilon,
                                                .delta = privacy.delta,
                                                .sampling = sampling,
                                                .steps = job.round.count * StepsPerRound(job),
                                                .adjacency = privacy.adjacency},
                                               BestAccountant(sampling)));
    return absl::OkStatus();
  }
  SKERRY_ASSIGN_OR_RETURN(const double spent, EpsilonAfter(job, job.round.count));
  if (!privacy.epsilon) {
    privacy.epsilon = spent;
    return absl::OkStatus();
  }
  const bool is_agreed =
      spent <= *privacy.epsilon * (1 + 1e-9) && spent >= *privacy.epsilon * (1 - kAgreement) - 1e-3;
  if (is_agreed) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "privacy.epsilon is {:g}, but privacy.noise_multiplier {:g} gives epsilon {:.4g} after {} "
      "rounds: leave one of the two out",
      *privacy.epsilon, *privacy.noise_multiplier, spent, job.round.count));
}

absl::StatusOr<int64_t> RoundsWithin(const JobConfig& job) {
  // Epsilon grows with the rounds, so the last one that fits can be bisected.
  int64_t fits = job.round.count;
  int64_t exceeds = 2 * job.round.count + 1;
  while (fits + 1 < exceeds) {
    const int64_t middle = fits + (exceeds - fits) / 2;
    SKERRY_ASSIGN_OR_RETURN(const double spent, EpsilonAfter(job, middle));
    (spent <= *job.privacy.epsilon ? fits : exceeds) = middle;
  }
  return fits;
}

double NoiseToSignal(const JobConfig& job, int64_t parameter_count) {
  return *job.privacy.noise_multiplier * std::sqrt(static_cast<double>(parameter_count)) /
         static_cast<double>(CohortSize(job.round));
}

}  // namespace skerry
