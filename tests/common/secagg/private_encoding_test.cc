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
