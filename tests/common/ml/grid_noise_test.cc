#include "common/ml/grid_noise.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;

absl::StatusOr<GridNoise> Noise(double clip_norm, double multiplier, size_t dimension) {
  return GridNoise::Create(
      {.clip_norm = clip_norm, .noise_multiplier = multiplier, .dimension = dimension});
}

struct Case {
  double clip_norm;
  double multiplier;
  size_t dimension;
  int scale_bits;
};

// By hand: the largest f up to 24 with z (C 2^f + sqrt(d)) <= 2^24 and C 2^f <= 2^30.
TEST(GridNoiseTest, GridIsTheFinestThatSamplerAndIntegersAllow) {
  for (const Case& what : {Case{0.1, 1.0, 26'010, 24},      // 24 is the finest
                           Case{0.9, 1.0, 1, 24},           //
                           Case{1.0, 1.0, 26'010, 23},      // 2^24 + 161 is too much by 161
                           Case{1.0, 4.0, 26'010, 21},      //
                           Case{1.0, 3.99, 26'010, 22},     // 3.99 (2^22 + 161) is below 2^24
                           Case{0.1, 39.0, 1'663'370, 22},  // 39 (0.1 2^22 + 1290) is below 2^24
                           Case{1e6, 0.01, 100, 10},        // 1e6 x 2^10 < 2^30 < 1e6 x 2^11
                           Case{1e12, 0.01, 100, -10}}) {
    ASSERT_OK_AND_ASSIGN(const GridNoise noise,
                         Noise(what.clip_norm, what.multiplier, what.dimension));

    EXPECT_EQ(noise.scale_bits(), what.scale_bits) << what.clip_norm << " " << what.multiplier;
    const double sigma = what.multiplier * (std::ldexp(what.clip_norm, what.scale_bits) +
                                            std::sqrt(static_cast<double>(what.dimension)));
    EXPECT_GE(noise.sigma(), sigma * (1 - 1e-15));
    EXPECT_LE(noise.sigma(), sigma * (1 + 1e-5));
  }
}

TEST(GridNoiseTest, RoundingThatIsNotSmallBesideTheClipNormIsRefused) {
  const double least = std::ldexp(512.0, -24);  // 256 sqrt(4) steps of the finest grid
  EXPECT_OK(Noise(least, 1.0, 4));
  EXPECT_THAT(Noise(least * 0.999, 1.0, 4),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("grid of 2^-25 if the rounding error of 4 parameters"),
                             HasSubstr("2^-24 at the finest"))));
  EXPECT_OK(Noise(1.0, 127.0, 100'000));
  EXPECT_THAT(Noise(1.0, 128.0, 100'000),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("multiplier 128"), HasSubstr("2^-17"))));
  EXPECT_THAT(Noise(1.0, 1e6, 1'663'370), StatusIs(StatusCode::kInvalidArgument));
}

TEST(GridNoiseTest, NumbersThatAreNotPositiveAreRefused) {
  const double nan = std::nan("");
  for (const double bad : {0.0, -1.0, nan, HUGE_VAL}) {
    EXPECT_THAT(Noise(bad, 1.0, 10), StatusIs(StatusCode::kInvalidArgument)) << bad;
    EXPECT_THAT(Noise(1.0, bad, 10), StatusIs(StatusCode::kInvalidArgument)) << bad;
  }
  EXPECT_THAT(Noise(1.0, 1.0, 0), StatusIs(StatusCode::kInvalidArgument));
}

// Of so little noise that a value other than zero has a probability below 1e-80.
GridNoise RoundingAlone() { return *Noise(512.0 / 16'777'216.0, 0.05 / 514, 4); }

TEST(GridNoiseTest, RoundingGoesToOneOfTheNeighboursWithTheRightMean) {
  constexpr size_t kCount = 40'000;
  const GridNoise noise = RoundingAlone();
  ASSERT_EQ(noise.scale_bits(), 24);
  const double step = std::ldexp(1.0, -24);
  SeededRandom random(1);
  for (const double steps : {0.3, -0.3, 0.5, 7.9, -1000.001}) {
    const std::vector<double> sum(kCount, steps * step);
    std::vector<float> out(kCount);

    ASSERT_OK(noise.Release(sum, 1.0, random, out));

    double up = 0;
    for (const float value : out) {
      const double got = static_cast<double>(value) / step;
      ASSERT_TRUE(got == std::floor(steps) || got == std::floor(steps) + 1) << got;
      up += got - std::floor(steps);
    }
    const double fraction = steps - std::floor(steps);
    const double deviation = std::sqrt(fraction * (1 - fraction) * kCount);
    EXPECT_NEAR(up, fraction * kCount, 5 * deviation) << steps;
  }
}

TEST(GridNoiseTest, IntegersAreNotRoundedAndTheResultIsDivided) {
  const GridNoise noise = RoundingAlone();
  const double step = std::ldexp(1.0, -24);
  const std::vector<double> sum = {0.0, 5 * step, -3 * step, std::ldexp(1.0, 38)};  // 2^62 steps
  std::vector<float> out(4);
  SeededRandom random(1);

  ASSERT_OK(noise.Release(sum, 8.0, random, out));

  for (size_t i = 0; i < sum.size(); ++i) EXPECT_EQ(out[i], static_cast<float>(sum[i] / 8)) << i;
}

// The chi-squared number of so many degrees of freedom is nearly normal.
TEST(GridNoiseTest, NoiseHasItsVarianceWhateverTheSumIs) {
  constexpr size_t kCount = 50'000;
  ASSERT_OK_AND_ASSIGN(const GridNoise noise, Noise(0.1, 2.0, kCount));
  const double deviation = 2.0 * (0.1 + std::sqrt(static_cast<double>(kCount)) / 16'777'216.0);
  SeededRandom random(3);
  for (const double value : {0.0, 123.4567}) {
    const std::vector<double> sum(kCount, value);
    std::vector<float> out(kCount);

    ASSERT_OK(noise.Release(sum, 4.0, random, out));

    double square = 0;
    double total = 0;
    for (const float number : out) {
      const double share = (4.0 * static_cast<double>(number) - value) / deviation;
      square += share * share;
      total += share;
    }
    EXPECT_NEAR(square, kCount, 5 * std::sqrt(2.0 * kCount));
    EXPECT_NEAR(total, 0, 5 * std::sqrt(1.0 * kCount));
  }
}

TEST(GridNoiseTest, NoCoordinatesShareTheirNoise) {
  ASSERT_OK_AND_ASSIGN(const GridNoise noise, Noise(1.0, 1.0, 20'000));
  const std::vector<double> sum(20'000);
  std::vector<float> out(sum.size());
  SeededRandom random(4);

  ASSERT_OK(noise.Release(sum, 1.0, random, out));

  // Of 2^25 values that are likely, pairs coincide about 20,000^2 / 2 / 6e7 times.
  std::sort(out.begin(), out.end());
  EXPECT_GT(std::unique(out.begin(), out.end()) - out.begin(), 19'950);
}

TEST(GridNoiseTest, SumsThatAreNotFiniteOrBeyondTheIntegersAreRefused) {
  ASSERT_OK_AND_ASSIGN(const GridNoise noise, Noise(1.0, 1.0, 2));
  SeededRandom random(1);
  std::vector<float> out(2);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), HUGE_VAL, -HUGE_VAL,
                           std::ldexp(1.01, 62 - noise.scale_bits())}) {
    const std::vector<double> sum = {1.0, bad};
    EXPECT_THAT(noise.Release(sum, 1.0, random, out), StatusIs(StatusCode::kOutOfRange)) << bad;
  }
}

}  // namespace
}  // namespace skerry
