#include "common/privacy/adaptive_clip.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/rng.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

constexpr AdaptiveClipConfig kConfig{
    .target_quantile = 0.5, .learning_rate = 0.2, .initial = 0.1, .bit_noise = std::nullopt};

TEST(AdaptiveClipTest, AClipGrowsWhenTooFewAreWithinItAndShrinksWhenTooMany) {
  ASSERT_OK_AND_ASSIGN(const AdaptiveClip clip, AdaptiveClip::Create(kConfig, 0.001, 10));

  EXPECT_FLOAT_EQ(clip.Next(0.1f, 0.5), 0.1f);
  EXPECT_FLOAT_EQ(clip.Next(0.1f, 0.0), static_cast<float>(0.1 * std::exp(0.1)));
  EXPECT_FLOAT_EQ(clip.Next(0.1f, 1.0), static_cast<float>(0.1 * std::exp(-0.1)));
}

// Without noise the clip ends at the quantile of the norms, wherever it begins.
TEST(AdaptiveClipTest, ItEndsAtTheQuantileOfTheNorms) {
  for (const double quantile : {0.3, 0.5, 0.8}) {
    AdaptiveClipConfig config = kConfig;
    config.target_quantile = quantile;
    ASSERT_OK_AND_ASSIGN(const AdaptiveClip clip, AdaptiveClip::Create(config, 0.001, 100));
    Rng rng(4);
    std::vector<double> norms(1000);
    for (double& norm : norms) norm = std::exp(rng.Normal());
    const auto within = [&](double limit) {
      const auto count =
          std::count_if(norms.begin(), norms.end(), [&](double norm) { return norm <= limit; });
      return static_cast<double>(count) / 1000;
    };

    float value = clip.initial();
    for (int round = 0; round < 300; ++round) value = clip.Next(value, within(value));

    EXPECT_NEAR(within(value), quantile, 0.01);
  }
}

TEST(AdaptiveClipTest, NoNoiseBringsItOutOfItsBounds) {
  ASSERT_OK_AND_ASSIGN(const AdaptiveClip clip, AdaptiveClip::Create(kConfig, 0.01, 0.3));

  for (const double fraction : {-1e6, 1e6, -0.7, 3.0}) {
    float value = clip.initial();
    for (int round = 0; round < 50; ++round) {
      value = clip.Next(value, fraction);
      EXPECT_GE(double{value}, 0.01);
      EXPECT_LE(double{value}, 0.3);
    }
  }
}

TEST(AdaptiveClipTest, ItBeginsWithinItsBounds) {
  EXPECT_OK(AdaptiveClip::Create(kConfig, 0.1, 0.1).status());
  EXPECT_THAT(AdaptiveClip::Create(kConfig, 0.11, 1).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be within 0.11")));
  EXPECT_THAT(AdaptiveClip::Create(kConfig, 0.01, 0.09).status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
  AdaptiveClipConfig config = kConfig;
  config.initial = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(AdaptiveClip::Create(config, 0.01, 1).status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace skerry
