#include "common/privacy/privacy_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

JobConfig GradientJob(int64_t rounds) {
  JobConfig job;
  job.round.nodes = 8;
  job.round.count = rounds;
  job.privacy = {.enabled = true,
                 .epsilon = 2.0,
                 .placement = NoisePlacement::kDistributed,
                 .records = 60'000,
                 .sampling = {}};
  job.privacy.sampling.rate = 2048.0 / 60'000;
  return job;
}

// 1.868 and 2.504: an independent calculation for 600 and 1,200 steps of 2,048 of 60,000 records.
TEST(PrivacyPlanTest, NoiseIsCalibratedForThePlannedRounds) {
  for (const auto& [rounds, noise] : {std::pair(600, 1.868), std::pair(1200, 2.504)}) {
    JobConfig job = GradientJob(rounds);
    ASSERT_OK(CompletePrivacy(job));
    EXPECT_NEAR(*job.privacy.noise_multiplier, noise, 0.004);
    ASSERT_OK_AND_ASSIGN(const double spent, EpsilonAfter(job, rounds));
    EXPECT_LE(spent, 2.0);
    EXPECT_GE(spent, 1.99);
  }
}

TEST(PrivacyPlanTest, EpsilonFollowsFromTheNoise) {
  JobConfig job = GradientJob(600);
  job.privacy.epsilon.reset();
  job.privacy.noise_multiplier = 1.868;

  ASSERT_OK(CompletePrivacy(job));

  EXPECT_NEAR(*job.privacy.epsilon, 2.0, 0.01);
}

TEST(PrivacyPlanTest, BothMustAgree) {
  JobConfig job = GradientJob(600);
  ASSERT_OK(CompletePrivacy(job));
  ASSERT_OK(CompletePrivacy(job));  // what was completed agrees

  job.privacy.noise_multiplier = 1.5;
  EXPECT_THAT(CompletePrivacy(job), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("after 600 rounds: leave one of the two")));
  job.privacy.noise_multiplier = 3.0;
  EXPECT_THAT(CompletePrivacy(job), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(PrivacyPlanTest, TheBudgetBearsThePlannedRoundsAndNoMoreThanItsEpsilon) {
  JobConfig job = GradientJob(600);
  ASSERT_OK(CompletePrivacy(job));

  ASSERT_OK_AND_ASSIGN(const int64_t rounds, RoundsWithin(job));

  EXPECT_GE(rounds, 600);
  EXPECT_LT(rounds, 610);
  ASSERT_OK_AND_ASSIGN(const double one_more, EpsilonAfter(job, rounds + 1));
  EXPECT_GT(one_more, 2.0);
}

TEST(PrivacyPlanTest, TheQuickBoundIsNeverBelowTheTightOneAndWithinThePlan) {
  JobConfig job = GradientJob(600);
  ASSERT_OK(CompletePrivacy(job));
  EXPECT_EQ(QuickEpsilonAfter(job, 0), 0.0);
  double last = 0;
  for (const int64_t rounds : {1, 10, 100, 300, 600}) {
    ASSERT_OK_AND_ASSIGN(const double tight, EpsilonAfter(job, rounds));
    const double quick = QuickEpsilonAfter(job, rounds);
    EXPECT_GE(quick, tight);
    EXPECT_GE(quick, last);
    EXPECT_LE(quick, 2.0);
    last = quick;
  }
}

// A cohort that everybody sees does not amplify: full participation of nodes is accounted exactly.
TEST(PrivacyPlanTest, WholeNodesGetNoAmplification) {
  JobConfig job = GradientJob(30);
  job.privacy.unit = PrivacyUnit::kClient;
  job.privacy.sampling = {.scheme = SamplingScheme::kFixed, .rate = 0.01};
  job.privacy.epsilon.reset();
  job.privacy.noise_multiplier = 3.0;
  job.privacy.delta = 1e-6;

  ASSERT_OK(CompletePrivacy(job));

  EXPECT_NEAR(*job.privacy.epsilon, 9.85505, 1e-4);  // q = 1, z = 3, T = 30
}

TEST(PrivacyPlanTest, NoiseToSignalIsTheNoiseOfTheMeanOverTheClipNorm) {
  JobConfig job = GradientJob(10);
  job.privacy.noise_multiplier = 1.2;
  job.round.nodes = 120;

  EXPECT_NEAR(NoiseToSignal(job, 199'210), 4.46, 0.01);
}

// With an adaptive clip norm a part of the noise's precision goes to the nodes' bits: sigma_b is 6
// here, and (1.2^-2 - 12^-2)^(-1/2) is 1.2061.
TEST(PrivacyPlanTest, NoiseToSignalIsThatOfTheUpdatesBesideTheClipBits) {
  JobConfig job = GradientJob(10);
  job.privacy.noise_multiplier = 1.2;
  job.privacy.adaptive_clip.emplace();
  job.round.nodes = 120;

  EXPECT_NEAR(NoiseToSignal(job, 10'000), 1.20605 * 100 / 120, 1e-4);
}

}  // namespace
}  // namespace skerry
