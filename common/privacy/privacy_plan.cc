#include "common/privacy/privacy_plan.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/config/privacy_rules.h"
#include "common/privacy/accountant.h"
#include "common/privacy/analytic_gaussian.h"
#include "common/privacy/calibration.h"
#include "common/privacy/secret_cohorts.h"

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

// What the job's observer sees of some rounds, and the delta at which it is accounted.
struct Release {
  std::vector<PrivacyEvent> events;
  double delta = 0;
};

Release ReleaseOf(const JobConfig& job, int64_t rounds) {
  if (!HasSecretCohorts(job)) return {{EventOfRounds(job, rounds)}, job.privacy.delta};
  return {SecretCohortEvents(job, rounds), (1 - kShownShare) * job.privacy.delta};
}

absl::StatusOr<double> TightEpsilon(const Release& release) {
  const bool is_sampled =
      std::any_of(release.events.begin(), release.events.end(),
                  [](const PrivacyEvent& event) { return event.sampling.amplifying_rate() < 1; });
  return EpsilonFor(release.events, release.delta,
                    is_sampled ? Accountant::kPld : Accountant::kAnalytic);
}

// The noise with which the planned rounds stay within the job's epsilon.
absl::StatusOr<double> NoiseFor(const JobConfig& job) {
  const PrivacyConfig& privacy = job.privacy;
  const Sampling sampling = SamplingOf(job);
  if (!HasSecretCohorts(job)) {
    return NoiseMultiplierFor({.epsilon = *privacy.epsilon,
                               .delta = privacy.delta,
                               .sampling = sampling,
                               .steps = job.round.count * StepsPerRound(job),
                               .adjacency = privacy.adjacency},
                              BestAccountant(sampling));
  }
  JobConfig candidate = job;
  const double guess = privacy.sampling.rate * std::sqrt(static_cast<double>(job.round.count)) /
                       AnalyticMu(*privacy.epsilon, privacy.delta);
  return FindNoise(
      [&](double noise_multiplier) {
        candidate.privacy.noise_multiplier = noise_multiplier;
        return EpsilonAfter(candidate, job.round.count);
      },
      *privacy.epsilon, std::clamp(guess, 0.5, kNoiseMultiplierMax / 10));
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
  return TightEpsilon(ReleaseOf(job, rounds));
}

double QuickEpsilonAfter(const JobConfig& job, int64_t rounds) {
  if (rounds == 0) return 0.0;
  const Release release = ReleaseOf(job, rounds);
  const absl::StatusOr<double> bound = EpsilonFor(release.events, release.delta, Accountant::kRdp);
  const double planned = rounds <= job.round.count ? *job.privacy.epsilon : HUGE_VAL;
  return std::min(bound.value_or(HUGE_VAL), planned);
}

double InsiderEpsilonOf(const JobConfig& job, int64_t releases) {
  if (releases == 0) return 0.0;
  const PrivacyEvent event = EventOfRounds(job, releases);
  return EpsilonFor({&event, 1}, job.privacy.delta, Accountant::kAnalytic).value_or(HUGE_VAL);
}

absl::Status CompletePrivacy(JobConfig& job) {
  PrivacyConfig& privacy = job.privacy;
  if (!privacy.enabled) return absl::OkStatus();
  if (!privacy.noise_multiplier) {
    SKERRY_ASSIGN_OR_RETURN(privacy.noise_multiplier, NoiseFor(job));
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
  return UpdateNoiseMultiplier(job) * std::sqrt(static_cast<double>(parameter_count)) /
         ExpectedCohort(job);
}

}  // namespace skerry
