// What one node can move: the norm of everything it sends, and the mean that comes of it, whatever
// number of examples it claims.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/rng.h"
#include "common/secagg/job_encoding.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

constexpr size_t kParameters = 5'000;
constexpr double kClip = 0.5;
constexpr int kNodes = 10;

JobConfig ClientJob() {
  JobConfig job;
  job.round.nodes = kNodes;
  job.privacy = {.enabled = true,
                 .unit = PrivacyUnit::kClient,
                 .epsilon = 2.0,
                 .noise_multiplier = 1.5,
                 .placement = NoisePlacement::kDistributed,
                 .clip_norm = kClip,
                 .sampling = {.scheme = SamplingScheme::kFixed}};
  job.secagg = {.enabled = true, .colluders = 1, .dropout_tolerance = 1, .min_survivors = 9};
  return job;
}

// A random direction of the clip norm, as the trainer leaves it.
std::vector<float> ClippedUpdate(Rng& rng) {
  std::vector<float> update(kParameters);
  double squares = 0;
  for (float& value : update) {
    value = static_cast<float>(rng.Uniform() - 0.5);
    squares += double{value} * value;
  }
  for (float& value : update) value *= static_cast<float>(kClip / std::sqrt(squares) * (1 - 1e-6));
  return update;
}

std::vector<RingElement> Encoded(const UpdateEncoding& encoding, std::span<const float> update,
                                 int64_t examples, RandomBits& random) {
  std::vector<RingElement> words(encoding.layout().size());
  EXPECT_OK(EncodeUpdate(encoding, {.delta = update, .example_count = examples},
                         random.DrawSecret(16), words));
  return words;
}

// The bound that the noise is made for, C 2^f + sqrt(d), holds over every coordinate that is sent.
TEST(PrivateSensitivityTest, AllThatANodeSendsBeforeItsNoiseIsWithinTheAccountedNorm) {
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(ClientJob(), kParameters));
  const double accounted =
      std::ldexp(kClip, encoding.scale_bits()) + std::sqrt(double{kParameters});
  Rng rng(5);
  SeededRandom random(6);
  for (const int64_t examples : {int64_t{1}, int64_t{1'000'000'000}}) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      const std::vector<RingElement> sent = Encoded(encoding, ClippedUpdate(rng), examples, random);
      double squares = 0;
      for (const RingElement word : sent)
        squares += std::pow(static_cast<double>(ToSigned(word)), 2);
      EXPECT_LE(std::sqrt(squares), accounted) << examples << " examples";
    }
  }
}

// Weighted by examples, a node with nine tenths of them would move the mean by nine tenths of its
// update, and noise for a tenth would hide nothing.
TEST(PrivateSensitivityTest, ANodeWithMostOfTheExamplesMovesTheMeanLikeAnyOther) {
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding encoding, EncodingOf(ClientJob(), kParameters));
  Rng rng(7);
  SeededRandom random(8);
  std::vector<RingElement> others(encoding.layout().size());
  for (int node = 1; node < kNodes; ++node) {
    AddInto(others, Encoded(encoding, ClippedUpdate(rng), 1'000, random));
  }
  std::vector<RingElement> everyone = others;
  AddInto(everyone, Encoded(encoding, ClippedUpdate(rng), 9 * 9'000, random));
  std::vector<float> with(kParameters);
  std::vector<float> without(kParameters);
  ASSERT_OK(DecodeSum(encoding, everyone, kNodes, with).status());
  ASSERT_OK(DecodeSum(encoding, others, kNodes - 1, without).status());

  double squares = 0;
  for (size_t i = 0; i < kParameters; ++i) squares += std::pow(double{with[i]} - without[i], 2);

  const double rounding = std::ldexp(std::sqrt(double{kParameters}), -encoding.scale_bits());
  EXPECT_LE(std::sqrt(squares), (kClip + rounding) / kNodes + 1e-6);
  EXPECT_GT(std::sqrt(squares), 0.9 * kClip / kNodes);
}

// Below four units sums of discrete noise are not quite discrete noise, which the accounting of the
// sum leaves out.
TEST(PrivateSensitivityTest, NoiseOfAFewUnitsIsRefused) {
  JobConfig job = ClientJob();
  // With one parameter the grid may be as coarse as 1/256 of the clip norm.
  job.privacy.clip_norm = 1e-3;
  job.encoding.range = 512;
  job.privacy.noise_multiplier = 0.05;
  ASSERT_OK_AND_ASSIGN(const UpdateEncoding enough, EncodingOf(job, 1));
  const double share = NoiseShare(job, 1, enough.scale_bits());
  ASSERT_GT(share, 4);

  job.privacy.noise_multiplier = 0.05 * 3.9 / share;

  EXPECT_THAT(EncodingOf(job, 1).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(testing::HasSubstr("standard deviation of 3.9 units"),
                                      testing::HasSubstr("at least 4"))));
}

}  // namespace
}  // namespace skerry
