// An attack on what a private round releases: Steinke, Nasr and Jagielski, "Privacy Auditing with
// One (1) Training Run" (NeurIPS 2023), white-box. Each of 1,000 canaries is put into the training
// set or left out by a fair coin; its clipped gradient is its own direction in every step, the
// easiest record to find. An attacker who sees every decoded sum guesses who was there. If it
// guesses too well, the run was less private than its epsilon says. Sampling, encoding, noise and
// decoding are those of agents and coordinator.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/rng.h"
#include "common/privacy/discrete_gaussian.h"
#include "common/privacy/poisson_sampling.h"
#include "common/privacy/privacy_plan.h"
#include "common/secagg/job_encoding.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

constexpr size_t kCanaries = 1000;
constexpr int kNodes = 8;

JobConfig Job(double epsilon) {
  JobConfig job;
  job.round.nodes = kNodes;
  job.round.count = 60;
  job.privacy = {.enabled = true,
                 .epsilon = epsilon,
                 .delta = 1e-5,
                 .placement = NoisePlacement::kDistributed,
                 .clip_norm = 1.0,
                 .records = 10'000,
                 .sampling = {}};
  job.privacy.sampling.rate = 0.1;
  job.secagg = {.enabled = true, .colluders = 1, .dropout_tolerance = 1, .min_survivors = 7};
  return job;
}

// How likely `correct` or more of `guesses` are right, if each is right with probability p.
double UpperTail(int64_t guesses, int64_t correct, double p) {
  double tail = 0;
  for (int64_t k = correct; k <= guesses; ++k) {
    tail += std::exp(
        std::lgamma(static_cast<double>(guesses) + 1) - std::lgamma(static_cast<double>(k) + 1) -
        std::lgamma(static_cast<double>(guesses - k) + 1) + static_cast<double>(k) * std::log(p) +
        static_cast<double>(guesses - k) * std::log1p(-p));
  }
  return std::min(tail, 1.0);
}

// Theorem 5.2 of the paper: whether so many correct guesses have a probability below 5 % under
// (epsilon, delta)-privacy.
bool IsRefuted(double epsilon, double delta, int64_t guesses, int64_t correct) {
  const double p = 1 / (1 + std::exp(-epsilon));
  const double at_least = UpperTail(guesses, correct, p);
  double excess = 0;
  for (int64_t i = 1; i <= correct; ++i) {
    const double near = UpperTail(guesses, correct - i, p) - at_least;
    excess = std::max(excess, 2.0 * near / static_cast<double>(i));
  }
  return at_least + static_cast<double>(kCanaries) * delta * excess < 0.05;
}

double LowerBound(double delta, int64_t guesses, int64_t correct) {
  double low = 0;
  double high = 20;
  while (high - low > 1e-3) {
    const double middle = (low + high) / 2;
    (IsRefuted(middle, delta, guesses, correct) ? low : high) = middle;
  }
  return low;
}

// The best bound that the attacker gets, over how many of the canaries it dares to guess.
double Audit(const JobConfig& job, bool has_noise) {
  const auto encoding = EncodingOf(job, kCanaries);
  SKERRY_ASSERT(encoding.ok());
  const auto variance = NoiseVariance::AtLeast(NoiseShare(job, kCanaries, encoding->scale_bits()));
  const auto noise = DiscreteGaussian::Create(*variance);
  const auto sampling = PoissonSampling::Create(job.privacy.sampling.rate);
  SKERRY_ASSERT(variance.ok() && noise.ok() && sampling.ok());
  SeededRandom random(20);
  Rng coins(21);
  std::vector<bool> is_in(kCanaries);
  std::vector<std::vector<size_t>> held(kNodes);
  for (size_t canary = 0; canary < kCanaries; ++canary) {
    is_in[canary] = coins.Below(2) == 1;
    if (is_in[canary]) held[canary % kNodes].push_back(canary);
  }
  std::vector<double> scores(kCanaries);
  for (int64_t round = 0; round < job.round.count; ++round) {
    std::vector<RingElement> sum(kCanaries);
    for (int node = 0; node < kNodes; ++node) {
      std::vector<float> gradients(kCanaries);
      for (const uint32_t position :
           sampling->Draw(static_cast<uint32_t>(held[static_cast<size_t>(node)].size()), random)) {
        gradients[held[static_cast<size_t>(node)][position]] =
            static_cast<float>(job.privacy.clip_norm);
      }
      std::vector<RingElement> update(kCanaries);
      SKERRY_ASSERT(EncodeUpdate(*encoding, {.delta = gradients, .example_count = 1},
                                 random.DrawSecret(16), update)
                        .ok());
      if (has_noise) noise->AddTo(update, random);
      AddInto(sum, update);
    }
    std::vector<float> mean(kCanaries);
    SKERRY_ASSERT(DecodeSum(*encoding, sum, kNodes, mean).ok());
    for (size_t i = 0; i < kCanaries; ++i) scores[i] += mean[i];
  }
  std::vector<size_t> order(kCanaries);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  double best = 0;
  for (size_t half = 25; half <= kCanaries / 2; half += 25) {
    int64_t correct = 0;
    for (size_t i = 0; i < half; ++i) {
      correct += is_in[order[i]] ? 1 : 0;
      correct += is_in[order[kCanaries - 1 - i]] ? 0 : 1;
    }
    best = std::max(best, LowerBound(job.privacy.delta, static_cast<int64_t>(2 * half), correct));
  }
  return best;
}

TEST(CanaryAuditTest, FindsWhatEpsilonEightStillShowsAndNeverMoreThanIsReported) {
  JobConfig job = Job(8.0);
  ASSERT_OK(CompletePrivacy(job));

  const double found = Audit(job, /*has_noise=*/true);

  EXPECT_GT(found, 0.5);
  EXPECT_LT(found, 8.0);
  RecordProperty("epsilon_lower_bound", fmt::format("{:.2f}", found));
}

TEST(CanaryAuditTest, FindsLittleAtEpsilonOne) {
  JobConfig job = Job(1.0);
  ASSERT_OK(CompletePrivacy(job));

  EXPECT_LT(Audit(job, /*has_noise=*/true), 1.0);
}

// The audit would prove nothing if it did not bite.
TEST(CanaryAuditTest, WithoutNoiseEverybodyIsFound) {
  JobConfig job = Job(8.0);
  ASSERT_OK(CompletePrivacy(job));

  EXPECT_GT(Audit(job, /*has_noise=*/false), 5.0);
}

}  // namespace
}  // namespace skerry
