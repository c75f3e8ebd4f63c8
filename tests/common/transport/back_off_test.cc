#include "common/transport/back_off.h"

#include <set>

#include <gtest/gtest.h>

namespace skerry {
namespace {

using std::chrono::milliseconds;

TEST(BackOffTest, EachWaitLiesInTheUpperHalfOfADoublingStepUpToTheLongest) {
  Rng rng(1);
  BackOff back_off(milliseconds(100), milliseconds(1000));

  for (const int step_ms : {100, 200, 400, 800, 1000, 1000, 1000}) {
    const Duration wait = back_off.Next(rng);
    EXPECT_GE(wait, milliseconds(step_ms) / 2);
    EXPECT_LE(wait, milliseconds(step_ms));
  }
}

TEST(BackOffTest, ResetMakesTheNextWaitShortAgain) {
  Rng rng(2);
  BackOff back_off(milliseconds(100), milliseconds(1000));
  for (int i = 0; i < 5; ++i) back_off.Next(rng);

  back_off.Reset();

  EXPECT_LE(back_off.Next(rng), milliseconds(100));
}

TEST(BackOffTest, TwoAgentsDoNotWaitEquallyLong) {
  std::set<Duration> waits;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    waits.insert(BackOff(milliseconds(100), milliseconds(1000)).Next(rng));
  }

  EXPECT_GT(waits.size(), 95u);
}

}  // namespace
}  // namespace skerry
