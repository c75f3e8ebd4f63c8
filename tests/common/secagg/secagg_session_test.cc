// The opened sum is the plain sum of the survivors' updates, bit by bit, whoever drops out at which
// step; and with one node too few nothing is opened.
#include "tests/support/secagg_session.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/secagg_rules.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

// Spreads `count` random nodes over the steps.
Dropouts DrawDropouts(Rng& rng, size_t nodes, size_t count, bool before_keys_too) {
  std::vector<size_t> order(nodes);
  for (size_t i = 0; i < nodes; ++i) order[i] = i;
  rng.Shuffle(order);
  Dropouts dropouts;
  std::set<size_t>* steps[] = {&dropouts.before_shares, &dropouts.before_update,
                               &dropouts.before_signing, &dropouts.before_unmasking,
                               &dropouts.before_keys};
  for (size_t i = 0; i < count; ++i) steps[rng.Below(before_keys_too ? 5 : 4)]->insert(order[i]);
  return dropouts;
}

// One random session with as many dropouts as it must bear, or fewer.
void RunCase(uint64_t seed, size_t nodes, bool is_real) {
  Rng rng = Rng::Derive(seed, "case");
  const auto colluders = static_cast<int64_t>(rng.Below(nodes / 3 + 1));
  const auto threshold =
      static_cast<size_t>(SessionThreshold(static_cast<int64_t>(nodes), colluders));
  ASSERT_LE(threshold, nodes);
  SecAggSession session({.nodes = nodes, .colluders = colluders, .is_real = is_real, .seed = seed});
  const size_t lost = rng.Below(nodes - threshold + 1);

  const auto opened = session.Run(DrawDropouts(rng, nodes, lost, false));

  ASSERT_OK(opened.status()) << "seed " << seed;
  EXPECT_EQ(*opened, session.Expected()) << "seed " << seed;
}

class RealSessionTest : public testing::TestWithParam<uint64_t> {};

TEST_P(RealSessionTest, OpenedSumIsThePlainSumOfTheSurvivors) {
  for (uint64_t i = 0; i < 30; ++i) {
    const uint64_t seed = GetParam() * 30 + i;
    RunCase(seed, 3 + seed % 14, /*is_real=*/true);
  }
}
INSTANTIATE_TEST_SUITE_P(Shards, RealSessionTest, testing::Range(uint64_t{0}, uint64_t{10}));

class LargeSessionTest : public testing::TestWithParam<uint64_t> {};

TEST_P(LargeSessionTest, SixtyFourNodes) {
  for (uint64_t i = 0; i < 5; ++i) RunCase(9000 + GetParam() * 5 + i, 64, /*is_real=*/true);
}
INSTANTIATE_TEST_SUITE_P(Shards, LargeSessionTest, testing::Range(uint64_t{0}, uint64_t{4}));

class FakeSessionTest : public testing::TestWithParam<uint64_t> {};

TEST_P(FakeSessionTest, OpenedSumIsThePlainSumOfTheSurvivors) {
  for (uint64_t i = 0; i < 400; ++i) {
    const uint64_t seed = 100'000 + GetParam() * 400 + i;
    RunCase(seed, 3 + seed % 18, /*is_real=*/false);
  }
}
INSTANTIATE_TEST_SUITE_P(Shards, FakeSessionTest, testing::Range(uint64_t{0}, uint64_t{8}));

// Each node stays or leaves before one of four steps; all patterns with n - t dropouts at most.
TEST(SecAggSessionTest, EveryDropoutPatternOfSmallSessionsOpensThePlainSum) {
  size_t patterns = 0;
  for (size_t nodes = 3; nodes <= 6; ++nodes) {
    const auto threshold = static_cast<size_t>(SessionThreshold(static_cast<int64_t>(nodes), 0));
    for (size_t pattern = 0; pattern < static_cast<size_t>(std::pow(5, nodes)); ++pattern) {
      std::array<std::set<size_t>, 5> leaves;  // the last of them never
      for (size_t i = 0, rest = pattern; i < nodes; ++i, rest /= 5) leaves[rest % 5].insert(i);
      if (leaves[4].size() < threshold) continue;
      SecAggSession session({.nodes = nodes, .is_real = false, .seed = pattern});

      const auto opened = session.Run({.before_shares = leaves[0],
                                       .before_update = leaves[1],
                                       .before_signing = leaves[2],
                                       .before_unmasking = leaves[3]});

      ASSERT_OK(opened.status()) << nodes << " nodes, pattern " << pattern;
      ASSERT_EQ(*opened, session.Expected()) << nodes << " nodes, pattern " << pattern;
      ++patterns;
    }
  }
  // The sum over k <= n - t of C(n, k) 4^k.
  EXPECT_EQ(patterns, 13u + 17u + 181u + 265u);
}

TEST(SecAggSessionTest, TwoHundredNodesWithSixtyDropoutsOpenThePlainSum) {
  // No sparse graph bears so many colluders and dropouts at once, so it is complete: t = 134.
  SecAggSession session({.nodes = 200, .colluders = 66, .dropout_tolerance = 60, .is_real = false});
  Rng rng(200);

  const auto opened = session.Run(DrawDropouts(rng, 200, 60, false));

  ASSERT_OK(opened.status());
  EXPECT_EQ(*opened, session.Expected());
}

TEST(SecAggSessionTest, NodesThatNeverAdvertisedMakeTheSessionSmaller) {
  SecAggSession session({.nodes = 6, .colluders = 1});

  const auto opened = session.Run({.before_keys = {0, 5}});

  ASSERT_OK(opened.status());
  EXPECT_EQ(session.server().roster().size(), 4u);
  EXPECT_EQ(session.server().roster().threshold(), 3u);
  EXPECT_EQ(*opened, session.Expected());
}

TEST(SecAggSessionTest, OneDropoutTooManyOpensNothing) {
  // t = 5 of 8: three may be missing, four may not.
  for (int step = 0; step < 4; ++step) {
    SecAggSession session({.nodes = 8, .colluders = 0});
    Dropouts dropouts;
    std::set<size_t>* steps[] = {&dropouts.before_shares, &dropouts.before_update,
                                 &dropouts.before_signing, &dropouts.before_unmasking};
    *steps[step] = {0, 2, 4, 6};

    EXPECT_EQ(session.Run(dropouts).status().code(), absl::StatusCode::kFailedPrecondition);
  }
}

TEST(SecAggSessionTest, FewerAnswersThanTheThresholdRecoverNothing) {
  SecAggSession session({.nodes = 5, .colluders = 1});  // t = 4
  session.RunToUploads();
  session.SignAll();
  session.server().CloseSignatures();

  session.UnmaskAll({0, 1});

  EXPECT_EQ(session.Open().status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace skerry
