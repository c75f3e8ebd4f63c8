#include "common/privacy/secret_cohorts.h"

#include <algorithm>
#include <cmath>

#include "common/config/privacy_rules.h"

namespace skerry {
namespace {

// Sums of logarithms of the gamma function err by far less.
constexpr double kRounding = 1e-9;
constexpr double kNegligible = 1e-6;

// P(X = count), X being binomial.
double BinomialMass(int64_t trials, double probability, int64_t count) {
  if (count < 0 || count > trials) return 0;
  if (probability <= 0) return count == 0 ? 1 : 0;
  if (probability >= 1) return count == trials ? 1 : 0;
  const auto n = static_cast<double>(trials);
  const auto k = static_cast<double>(count);
  return std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) +
                  k * std::log(probability) + (n - k) * std::log1p(-probability));
}

// Chernoff's bound on P(X >= count), for a count above the mean.
double TailBound(int64_t trials, double probability, int64_t count) {
  if (probability <= 0) return 0;
  if (probability >= 1) return 1;
  const auto n = static_cast<double>(trials);
  const auto k = static_cast<double>(count);
  const double misses = count == trials ? 0 : (n - k) * std::log((1 - k / n) / (1 - probability));
  return std::exp(-k * std::log(k / n / probability) - misses);
}

}  // namespace

double ShownCoinProbability(const JobConfig& job) {
  const double rate = job.privacy.sampling.rate;
  return rate * BinomialMass(job.round.nodes - 1, rate, SecretCohortBounds(job).smallest - 1);
}

int64_t BinomialUpperPoint(int64_t trials, double probability, double tail) {
  // From above, where the terms are small, so that the tail has its full precision. What is above
  // the start is bounded.
  const auto mean = static_cast<int64_t>(std::ceil(static_cast<double>(trials) * probability));
  int64_t step = 16;
  while (mean + step < trials && TailBound(trials, probability, mean + step) > kNegligible * tail) {
    step *= 2;
  }
  int64_t point = std::min(mean + step, trials);
  double beyond = point < trials ? kNegligible * tail : 0;
  while (point > 0) {
    beyond += BinomialMass(trials, probability, point) * (1 + kRounding);
    if (beyond > tail) break;
    --point;
  }
  return point;
}

std::vector<PrivacyEvent> SecretCohortEvents(const JobConfig& job, int64_t rounds) {
  const double probability = ShownCoinProbability(job) * (1 + kRounding);
  const int64_t shown =
      BinomialUpperPoint(rounds, std::min(probability, 1.0), kShownShare * job.privacy.delta);
  std::vector<PrivacyEvent> events;
  const auto add = [&](Sampling sampling, int64_t steps) {
    if (steps == 0) return;
    events.push_back({.noise_multiplier = *job.privacy.noise_multiplier,
                      .sampling = sampling,
                      .steps = steps,
                      .adjacency = job.privacy.adjacency});
  };
  add(Sampling::Poisson(job.privacy.sampling.rate), rounds - shown);
  add(Sampling::Everyone(), shown);
  return events;
}

}  // namespace skerry
