#include "common/ml/update_clip.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "common/base/rng.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

double NormOf(const std::vector<float>& values) {
  long double square = 0;
  for (const float value : values) {
    square += static_cast<long double>(value) * static_cast<long double>(value);
  }
  return static_cast<double>(std::sqrt(square));
}

std::vector<float> RandomUpdate(size_t count, double scale) {
  Rng rng(count);
  std::vector<float> update(count);
  for (float& value : update) value = static_cast<float>(scale * rng.Normal());
  return update;
}

TEST(UpdateClipTest, NormIsTheClipNormAfterwardsAndNeverAbove) {
  for (const size_t count : {1u, 2u, 3u, 10u, 1000u, 300'000u}) {
    for (const double scale : {1e-3, 1.0, 1e6, 1e36}) {
      for (const double clip_norm : {1e-6, 0.1, 0.3, 1.0, 1e6}) {
        std::vector<float> update = RandomUpdate(count, scale);
        const double norm = NormOf(update);

        ASSERT_OK(ClipUpdate(update, clip_norm));

        EXPECT_LE(NormOf(update), clip_norm);
        EXPECT_GE(NormOf(update), std::min(norm, clip_norm) * (1 - 1e-6));
      }
    }
  }
}

TEST(UpdateClipTest, EqualValuesThatAllRoundUpStayWithinTheClipNorm) {
  for (int i = 0; i < 1000; ++i) {
    std::vector<float> update(1000, 1.0f + 1e-3f * static_cast<float>(i));

    ASSERT_OK(ClipUpdate(update, 1.0));

    EXPECT_LE(NormOf(update), 1.0);
  }
}

TEST(UpdateClipTest, DirectionStays) {
  const std::vector<float> before = RandomUpdate(1000, 1.0);
  std::vector<float> update = before;

  ASSERT_OK(ClipUpdate(update, 0.25));

  const double factor = 0.25 / NormOf(before);
  for (size_t i = 0; i < update.size(); ++i) {
    const double expected = factor * static_cast<double>(before[i]);
    EXPECT_NEAR(static_cast<double>(update[i]), expected, 1e-6 * std::fabs(expected));
  }
}

TEST(UpdateClipTest, ShorterUpdatesStayBitByBit) {
  for (const std::vector<float>& before :
       {std::vector<float>{}, std::vector<float>{0.0f, -0.0f}, RandomUpdate(1000, 0.03)}) {
    std::vector<float> update = before;

    ASSERT_OK(ClipUpdate(update, 1.0));

    EXPECT_EQ(update, before);
  }
}

TEST(UpdateClipTest, WhatIsNotFiniteIsRefusedAndNotClipped) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    for (const size_t where : {0u, 50u, 99u}) {
      std::vector<float> update = RandomUpdate(100, 10.0);
      update[where] = bad;
      const float first = update[1];

      EXPECT_THAT(ClipUpdate(update, 1.0), StatusIs(absl::StatusCode::kOutOfRange));

      EXPECT_EQ(update[1], first);
    }
  }
}

TEST(UpdateClipTest, LargestFloatsAreClippedLikeAnyOther) {
  std::vector<float> update(1000, std::numeric_limits<float>::max());

  ASSERT_OK(ClipUpdate(update, 2.0));

  EXPECT_NEAR(NormOf(update), 2.0, 1e-6);
}

}  // namespace
}  // namespace skerry
