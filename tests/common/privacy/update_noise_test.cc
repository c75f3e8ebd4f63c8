#include "common/privacy/update_noise.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

double Square(uint32_t element) {
  const double value = static_cast<int32_t>(element);
  return value * value;
}

TEST(UpdateNoiseTest, TheLastElementHasANoiseOfItsOwn) {
  ASSERT_OK_AND_ASSIGN(const UpdateNoise noise, UpdateNoise::Create(100, 5000));
  SeededRandom random(3);
  double parameters = 0;
  double bits = 0;
  constexpr int kDraws = 4000;
  for (int draw = 0; draw < kDraws; ++draw) {
    std::vector<uint32_t> update(3);
    noise.AddTo(update, random);
    parameters += Square(update[0]) + Square(update[1]);
    bits += Square(update[2]);
  }

  // The relative standard error of a variance from 4,000 values is 2.2 %; four of them.
  EXPECT_NEAR(parameters / (2 * kDraws), 1e4, 1e4 * 0.09);
  EXPECT_NEAR(bits / kDraws, 2.5e7, 2.5e7 * 0.09);
}

TEST(UpdateNoiseTest, WithoutABitAllElementsAreAlike) {
  ASSERT_OK_AND_ASSIGN(const UpdateNoise noise, UpdateNoise::Create(100));
  SeededRandom random(3);
  double last = 0;
  for (int draw = 0; draw < 4000; ++draw) {
    std::vector<uint32_t> update(2);
    noise.AddTo(update, random);
    last += Square(update[1]);
  }

  EXPECT_NEAR(last / 4000, 1e4, 1e4 * 0.09);
}

TEST(UpdateNoiseTest, NoiseThatCannotBeDrawnIsRefused) {
  EXPECT_THAT(UpdateNoise::Create(0).status(), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(UpdateNoise::Create(1, 1e12).status(), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace skerry
