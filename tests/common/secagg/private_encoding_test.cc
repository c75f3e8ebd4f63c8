// Updates of jobs with differential privacy: no counts, public divisors, and enough noise on every
// sum that may be opened.
#include <cmath>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/privacy/discrete_gaussian.h"
#include "common/secagg/job_encoding.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

constexpr size_t kParameters = 20'000;

// Eight nodes, one of which may drop out and one of which may conspire.
JobConfig GradientJob() {
  JobConfig job;
  job.round.nodes = 8;
  job.privacy = {.enabled = true,
                 .epsilon = 2.0,
                 .noise_multiplier = 1.5,
                 .placement = NoisePlacement::kDistributed,
                 .clip_norm = 0.5,
                 .records = 4'000,
                 .sampling = {}};
  job.privacy.sampling.rate = 0.02;
  job.secagg = {.enabled = true, .colluders = 1, .dropout_tolerance = 1, .min_survivors = 7};
  return job;
}

TEST(PrivateEncodingTest, AnUploadHoldsParametersAndNothingElse) {
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(GradientJob(), kParameters));

  EXPECT_EQ(encoding.layout().size(), kParameters);
  EXPECT_FALSE(encoding.layout().has_counts);
}

TEST(PrivateEncodingTest, SumsAreDividedByTheExpectedBatchOfTheNodesInThem) {
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(GradientJob(), 2));
  const std::vector<float> delta = {1.5f, -0.25f};
  SeededRandom random(3);
  std::vector<RingElement> sum(2);
  for (int node = 0; node < 7; ++node) {
    std::vector<RingElement> update(2);
    ASSERT_OK(EncodeUpdate(encoding, {.delta = delta, .example_count = node * 100},
                           random.DrawSecret(16), update));
    AddInto(sum, update);
  }
  std::vector<float> mean(2);

  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded, DecodeSum(encoding, sum, 7, mean));

  // 0.02 of 4,000 records over 8 nodes are 10 expected a node, however many a node says it has.
  EXPECT_DOUBLE_EQ(decoded.weight_sum, 70);
  EXPECT_NEAR(mean[0], 7 * 1.5 / 70, 1e-6);
  EXPECT_NEAR(mean[1], 7 * -0.25 / 70, 1e-6);
}

TEST(PrivateEncodingTest, AWholeNodesUpdateIsDividedByTheCohortWhoeverCame) {
  JobConfig job = GradientJob();
  job.privacy.unit = PrivacyUnit::kClient;
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(job, 2));
  std::vector<RingElement> sum(2);
  std::vector<float> mean(2);

  ASSERT_OK_AND_ASSIGN(const DecodedSum seven, DecodeSum(encoding, sum, 7, mean));

  EXPECT_EQ(seven.weight_sum, 8);
}

// With n survivors of whom one may know its own noise, what the others have added has the variance
// that was planned, for every number of drop-outs that is allowed; what came of it is at least
// that.
TEST(PrivateEncodingTest, NoiseOfEverySumThatMayBeOpenedIsAtLeastThePlanned) {
  const JobConfig job = GradientJob();
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(job, kParameters));
  const double share = NoiseShare(job, kParameters, encoding.scale_bits());
  ASSERT_OK_AND_ASSIGN(const NoiseVariance variance, NoiseVariance::AtLeast(share));
  ASSERT_OK_AND_ASSIGN(const DiscreteGaussian noise, DiscreteGaussian::Create(variance));
  SeededRandom random(11);
  const double clip_norm = std::ldexp(0.5, encoding.scale_bits()) + std::sqrt(double{kParameters});
  const double planned = 1.5 * clip_norm;
  std::vector<RingElement> sum(kParameters);
  for (int honest = 1; honest <= 7; ++honest) {
    noise.AddTo(sum, random);
    if (honest < 6) continue;  // 7 survivors at the least, one of whom conspires
    double squares = 0;
    for (const RingElement element : sum) {
      squares += std::pow(static_cast<double>(ToSigned(element)), 2);
    }
    const double measured = squares / kParameters;
    // The relative standard error of a variance from 20,000 values is 1 %; four of them.
    EXPECT_GT(measured, planned * planned * 0.96) << honest;
    EXPECT_NEAR(measured / (planned * planned), honest / 6.0, 0.04 * honest / 6.0) << honest;
  }
}

// One draw, as large as a trusted curator's, whoever is in the sum.
TEST(PrivateEncodingTest, NoiseOfTheCoordinatorIsTheWholeNoiseOnce) {
  JobConfig job = GradientJob();
  job.privacy.unit = PrivacyUnit::kClient;
  job.privacy.placement = NoisePlacement::kCoordinator;
  job.secagg = {};
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(job, kParameters));

  const double sigma = NoiseShare(job, kParameters, encoding.scale_bits());

  const double scale = std::ldexp(1.0, encoding.scale_bits());
  EXPECT_DOUBLE_EQ(sigma, 1.5 * (0.5 * scale + std::sqrt(double{kParameters})));
  EXPECT_GE(encoding.limits().noise * scale, sigma);
  EXPECT_LT(8 * (std::ceil(job.encoding.range * scale) + 1) + 10 * sigma, 0x1p31);
  EXPECT_EQ(encoding.limits().divisor, 8);
}

// A hundred nodes, z 2 and so noise of 5 on the sum of the bits.
JobConfig AdaptiveJob() {
  JobConfig job = GradientJob();
  job.round.nodes = 100;
  job.privacy.unit = PrivacyUnit::kClient;
  job.privacy.placement = NoisePlacement::kCoordinator;
  job.privacy.noise_multiplier = 2.0;
  job.privacy.adaptive_clip.emplace();
  job.secagg = {};
  return job;
}

TEST(AdaptiveEncodingTest, ABitTravelsBehindTheParametersAndSaysWhatPartWasWithin) {
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(AdaptiveJob(), 2));
  ASSERT_EQ(encoding.layout().size(), 3u);
  const std::vector<float> delta = {0.25f, -0.5f};
  SeededRandom random(3);
  std::vector<RingElement> sum(3);
  for (int node = 0; node < 100; ++node) {
    std::vector<RingElement> update(3);
    ASSERT_OK(EncodeUpdate(encoding, {.delta = delta, .is_within_clip = node < 70},
                           random.DrawSecret(16), update));
    ASSERT_OK(CheckUpdate(encoding, update));
    AddInto(sum, update);
  }
  std::vector<float> mean(2);

  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded, DecodeSum(encoding, sum, 100, mean));

  ASSERT_TRUE(decoded.within_clip.has_value());
  EXPECT_DOUBLE_EQ(*decoded.within_clip, 0.7);
  EXPECT_NEAR(mean[0], 0.25, 1e-5);
  EXPECT_EQ(decoded.weight_sum, 100);
}

TEST(AdaptiveEncodingTest, ASumOfBitsBelowZeroIsNoisyAndNotBroken) {
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(AdaptiveJob(), 2));
  std::vector<RingElement> sum = {0, 0, ToRing(-60 * 1024)};  // bits of -50 and noise of -10
  std::vector<float> mean(2);

  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded, DecodeSum(encoding, sum, 100, mean));

  EXPECT_NEAR(*decoded.within_clip, -0.1, 1e-12);
}

TEST(AdaptiveEncodingTest, ABitIsOneOfTwoValues) {
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(AdaptiveJob(), 2));
  for (const int32_t bit : {-512, 512}) {
    EXPECT_OK(CheckUpdate(encoding, std::vector<RingElement>{0, 0, ToRing(bit)}));
  }
  for (const int32_t bit : {0, 511, 513, -513, 1024}) {
    EXPECT_THAT(CheckUpdate(encoding, std::vector<RingElement>{0, 0, ToRing(bit)}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("clip bit")))
        << bit;
  }
}

// Both parts together, as one vector in units of their noise, move by 1 / z for one node.
TEST(AdaptiveEncodingTest, UpdatesAndBitsTogetherHaveTheNoiseOfTheJob) {
  const JobConfig job = AdaptiveJob();
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(job, kParameters));
  for (const double clip_norm : {0.1, 0.5}) {
    const double update_moves =
        std::ldexp(clip_norm, encoding.scale_bits()) + std::sqrt(double{kParameters});
    const double update =
        update_moves / NoiseShare(job, clip_norm, kParameters, encoding.scale_bits());
    const double bit = 512 / ClipBitShare(job);

    EXPECT_NEAR(std::hypot(update, bit), 1 / 2.0, 1e-12);
    EXPECT_DOUBLE_EQ(bit, 0.1);  // half a bit in noise of 5
  }
}

TEST(AdaptiveEncodingTest, NodesShareTheNoiseOfTheBitsToo) {
  JobConfig job = AdaptiveJob();
  job.privacy.placement = NoisePlacement::kDistributed;
  job.secagg = {.enabled = true, .colluders = 10, .dropout_tolerance = 10, .min_survivors = 74};

  EXPECT_DOUBLE_EQ(ClipBitShare(job), 5 * 1024 / 8.0);  // 64 honest survivors
}

TEST(AdaptiveEncodingTest, TooFewNodesForTheNoiseAreRefusedWithTheNumberThatWouldDo) {
  JobConfig job = AdaptiveJob();
  job.round.nodes = 20;
  EXPECT_THAT(EncodingOf(job, 2).status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                                    HasSubstr("a cohort of 21 or more nodes")));
  job.round.nodes = 21;
  EXPECT_OK(EncodingOf(job, 2).status());
}

// What is safe for the largest clip is safe for all; what is fine enough for the first one decides
// how small the clip may become.
TEST(AdaptiveEncodingTest, TheLargestClipFitsAndTheFirstOneIsNotLostInRounding) {
  JobConfig job = AdaptiveJob();
  job.privacy.clip_norm = 20;
  job.privacy.adaptive_clip->initial = 0.25;
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(job, kParameters));
  const double scale = std::ldexp(1.0, encoding.scale_bits());
  EXPECT_LT(100 * (std::ceil(job.encoding.range * scale) + 1) +
                10 * NoiseShare(job, 20, kParameters, encoding.scale_bits()),
            0x1p31);
  EXPECT_GE(0.25, SmallestClip(kParameters, encoding.scale_bits()));
  EXPECT_DOUBLE_EQ(SmallestClip(kParameters, 20), 256 * std::sqrt(double{kParameters}) / 0x1p20);

  job.privacy.adaptive_clip->initial = 1e-4;
  EXPECT_THAT(EncodingOf(job, kParameters).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("clip norm of 0.0001")));
}

TEST(PrivateEncodingTest, RangeNoiseAndRoundingFitOrAreRefused) {
  JobConfig job = GradientJob();
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(job, kParameters));
  const double scale = std::ldexp(1.0, encoding.scale_bits());
  const double total = NoiseShare(job, kParameters, encoding.scale_bits()) * std::sqrt(8.0);
  EXPECT_LT(8 * (std::ceil(job.encoding.range * scale) + 1) + 10 * total, 0x1p31);
  EXPECT_LE(NoiseShare(job, kParameters, encoding.scale_bits()), kNoiseShareMax);
  EXPECT_GE(0.5 * scale, kRoundingShareMin * std::sqrt(double{kParameters}));

  job.privacy.clip_norm = 1e-4;
  job.encoding.range = 512;
  EXPECT_THAT(EncodingOf(job, kParameters).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rounding is to stay below")));
  job.privacy.clip_norm = 1e6;
  EXPECT_THAT(EncodingOf(job, kParameters).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("noise of")));
}

TEST(PrivateEncodingTest, TheNoiseHasToBeKnown) {
  JobConfig job = GradientJob();
  job.privacy.noise_multiplier.reset();

  EXPECT_THAT(EncodingOf(job, kParameters).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace skerry
