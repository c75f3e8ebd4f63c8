#include "common/privacy/secret_cohorts.h"

#include <bit>
#include <cmath>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/privacy_rules.h"
#include "common/privacy/accountant.h"
#include "common/privacy/privacy_plan.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

// Without secure aggregation the quorum alone decides which cohorts are skipped.
JobConfig Job(int64_t nodes, double rate, int64_t smallest, double noise) {
  JobConfig job;
  job.round = {.count = 20, .nodes = nodes, .quorum = smallest};
  job.privacy = {.enabled = true,
                 .unit = PrivacyUnit::kClient,
                 .noise_multiplier = noise,
                 .observer = PrivacyObserver::kPublic,
                 .placement = NoisePlacement::kCoordinator,
                 .sampling = {.rate = rate}};
  return job;
}

double Density(double x, double mean, double sigma) {
  const double z = (x - mean) / sigma;
  return std::exp(-0.5 * z * z) / (sigma * std::sqrt(2 * std::numbers::pi));
}

// What one round shows: the others' coins come up `others` times, which the observer is told, and
// then either a number or that there was none.
struct Round {
  double probability = 0;  // of so many others
  bool trains_with = false;
  bool trains_without = false;
};

std::vector<Round> RoundsOf(const JobConfig& job) {
  const double rate = job.privacy.sampling.rate;
  const auto others = static_cast<unsigned>(job.round.nodes - 1);
  std::vector<Round> rounds(others + 1);
  for (unsigned coins = 0; coins < (1u << others); ++coins) {
    const int up = std::popcount(coins);
    rounds[static_cast<size_t>(up)].probability +=
        std::pow(rate, up) * std::pow(1 - rate, static_cast<int>(others) - up);
  }
  for (size_t up = 0; up < rounds.size(); ++up) {
    rounds[up].trains_with = static_cast<int64_t>(up) + 1 >= job.round.quorum;
    rounds[up].trains_without = static_cast<int64_t>(up) >= job.round.quorum;
  }
  return rounds;
}

// An outcome's weight under the node's update and under a zero in its place.
struct Outcome {
  double with = 0;
  double without = 0;
};

// All outcomes of a round on a fine grid, the mechanism as it is written down: the node's coin, the
// skip, the noise. Divided into cells, which loses next to nothing.
std::vector<Outcome> OutcomesOf(const JobConfig& job, double cell) {
  const double rate = job.privacy.sampling.rate;
  const double sigma = *job.privacy.noise_multiplier;
  std::vector<Outcome> outcomes;
  for (const Round& round : RoundsOf(job)) {
    double none = 0;
    if (!round.trains_with) none += rate;
    if (!round.trains_without) none += 1 - rate;
    outcomes.push_back({round.probability * none, round.probability * none});
    if (!round.trains_with && !round.trains_without) continue;
    for (double x = -8 * sigma; x < 1 + 8 * sigma; x += cell) {
      Outcome outcome;
      if (round.trains_without) {
        outcome.with += (1 - rate) * Density(x, 0, sigma);
        outcome.without += (1 - rate) * Density(x, 0, sigma);
      }
      if (round.trains_with) {
        outcome.with += rate * Density(x, 1, sigma);
        outcome.without += rate * Density(x, 0, sigma);
      }
      outcomes.push_back(
          {round.probability * outcome.with * cell, round.probability * outcome.without * cell});
    }
  }
  return outcomes;
}

// delta(epsilon) of one round or of two, the larger of both directions.
double DeltaOf(const JobConfig& job, int rounds, double epsilon) {
  const std::vector<Outcome> outcomes =
      OutcomesOf(job, *job.privacy.noise_multiplier / (rounds == 1 ? 100 : 12));
  double with = 0;
  double without = 0;
  const auto add = [&](const Outcome& outcome) {
    with += std::max(0.0, outcome.with - std::exp(epsilon) * outcome.without);
    without += std::max(0.0, outcome.without - std::exp(epsilon) * outcome.with);
  };
  for (const Outcome& first : outcomes) {
    if (rounds == 1) {
      add(first);
      continue;
    }
    for (const Outcome& second : outcomes) {
      add({first.with * second.with, first.without * second.without});
    }
  }
  return std::max(with, without);
}

TEST(SecretCohortsTest, ACoinShowsIfTheCohortWouldHaveBeenTooSmallWithoutIt) {
  for (const int64_t smallest : {1, 3, 6}) {
    const JobConfig job = Job(7, 0.3, smallest, 1);
    double expected = 0;
    for (const Round& round : RoundsOf(job)) {
      if (round.trains_with && !round.trains_without) expected += 0.3 * round.probability;
    }
    EXPECT_NEAR(ShownCoinProbability(job), expected, 1e-12) << smallest;
  }
}

TEST(SecretCohortsTest, TheUpperPointLeavesNoMoreThanTheTailAbove) {
  for (const double probability : {0.001, 0.08, 0.5, 0.97}) {
    for (const int64_t trials : {1, 12, 300}) {
      for (const double tail : {0.1, 1e-4, 1e-9}) {
        std::vector<double> mass(static_cast<size_t>(trials) + 1);
        mass[0] = 1;  // of no trials
        for (int64_t n = 1; n <= trials; ++n) {
          for (auto k = static_cast<size_t>(n); k > 0; --k) {
            mass[k] = mass[k] * (1 - probability) + mass[k - 1] * probability;
          }
          mass[0] *= 1 - probability;
        }
        int64_t expected = trials;
        double above = 0;
        while (expected > 0 && above + mass[static_cast<size_t>(expected)] <= tail) {
          above += mass[static_cast<size_t>(expected)];
          --expected;
        }
        EXPECT_EQ(BinomialUpperPoint(trials, probability, tail), expected)
            << probability << " " << trials << " " << tail;
      }
    }
  }
  EXPECT_EQ(BinomialUpperPoint(1'000'000, 0, 1e-7), 0);
  EXPECT_EQ(BinomialUpperPoint(10, 1, 1e-7), 10);
}

// The whole mechanism, coins and skipped rounds included, integrated numerically.
TEST(SecretCohortsTest, EpsilonCoversWhatSkippedRoundsTell) {
  for (const double delta : {0.05, 1e-3}) {
    for (const int rounds : {1, 2}) {
      JobConfig job = Job(5, 0.4, 2, 1.3);
      job.privacy.delta = delta;
      ASSERT_OK_AND_ASSIGN(const double epsilon, EpsilonAfter(job, rounds));

      EXPECT_LE(DeltaOf(job, rounds, epsilon), delta * 1.001) << delta << " " << rounds;
    }
  }
}

// Poisson's formula alone would have promised too much here, and the test above would see it.
TEST(SecretCohortsTest, PoissonsEpsilonAloneIsTooSmallWhereCohortsAreSkipped) {
  JobConfig job = Job(5, 0.4, 2, 1.3);
  job.privacy.delta = 1e-3;
  const PrivacyEvent event{.noise_multiplier = 1.3, .sampling = Sampling::Poisson(0.4)};
  ASSERT_OK_AND_ASSIGN(const double epsilon,
                       EpsilonFor({&event, 1}, job.privacy.delta, Accountant::kPld));

  EXPECT_GT(DeltaOf(job, 1, epsilon), 1.2 * job.privacy.delta);
}

// 20 of 100 on average, and fewer than 3 once in a million rounds: hardly anything is paid for it.
TEST(SecretCohortsTest, CohortsThatAreHardlyEverSkippedAreNearlyPoisson) {
  JobConfig job = Job(100, 0.2, 2, 1.5);
  const PrivacyEvent event{
      .noise_multiplier = 1.5, .sampling = Sampling::Poisson(0.2), .steps = 20};
  ASSERT_OK_AND_ASSIGN(const double poisson, EpsilonFor({&event, 1}, 1e-5, Accountant::kPld));

  ASSERT_OK_AND_ASSIGN(const double epsilon, EpsilonAfter(job, 20));

  EXPECT_GT(epsilon, poisson * 0.999);
  EXPECT_LT(epsilon, poisson * 1.01);
  EXPECT_GT(InsiderEpsilonOf(job, 20), 2 * epsilon);
}

TEST(SecretCohortsTest, NoiseIsCalibratedForWhoDoesNotSeeTheCohorts) {
  JobConfig job = Job(60, 0.25, 6, 1);
  job.privacy.noise_multiplier.reset();
  job.privacy.epsilon = 3;
  ASSERT_OK(CompletePrivacy(job));

  ASSERT_OK_AND_ASSIGN(const double spent, EpsilonAfter(job, job.round.count));
  EXPECT_LE(spent, 3);
  EXPECT_GE(spent, 2.99);
  ASSERT_OK_AND_ASSIGN(const int64_t rounds, RoundsWithin(job));
  EXPECT_GE(rounds, job.round.count);
  EXPECT_LE(rounds, job.round.count + 1);
  // What a site charges has no coins in it.
  EXPECT_EQ(EventOfRounds(job, 1).sampling.amplifying_rate(), 1);
}

}  // namespace
}  // namespace skerry
