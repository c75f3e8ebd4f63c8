#include "common/config/secagg_rules.h"

#include <algorithm>
#include <vector>

#include "common/config/graph_parameters.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

// ceil(N/3) - 1 by counting: the most c with 3 c < N.
int64_t MostBelowAThird(int64_t nodes) {
  int64_t colluders = 0;
  while (3 * (colluders + 1) < nodes) ++colluders;
  return colluders;
}

TEST(SessionThresholdTest, IsTheSmallestThatLetsNoTwoSetsMeetInColludersOnly) {
  for (int64_t nodes = 1; nodes <= 100; ++nodes) {
    for (int64_t colluders = 0; colluders < nodes; ++colluders) {
      const int64_t threshold = SessionThreshold(nodes, colluders);
      EXPECT_GT(2 * threshold, nodes + colluders);
      EXPECT_LE(2 * (threshold - 1), nodes + colluders);
    }
  }
}

TEST(SessionThresholdTest, WithTheDefaultColludersIsTwoThirdsOfTheNodes) {
  struct Case {
    int64_t nodes, threshold;
  };
  for (const Case& test : {Case{5, 4}, {10, 7}, {20, 14}, {50, 34}, {100, 67}}) {
    EXPECT_EQ(SessionThreshold(test.nodes, DefaultColluders(test.nodes)), test.threshold);
  }
  // A roster of 100 with cohorts of 50: the colluders are those of the roster.
  EXPECT_EQ(SessionThreshold(50, DefaultColluders(100)), 42);
}

TEST(DefaultColludersTest, AreFewerThanAThirdOfTheRoster) {
  for (int64_t nodes = 0; nodes <= 100; ++nodes) {
    EXPECT_EQ(DefaultColluders(nodes), MostBelowAThird(nodes)) << nodes;
  }
}

TEST(SmallestSessionTest, LeavesRoomForTheDropOutsThatAreTolerated) {
  const RoundConfig round = {.quorum = 1};
  const SecAggConfig secagg = {.colluders = 2, .dropout_tolerance = 2};

  // 7 - t(7) = 7 - 5, 6 - t(6) = 6 - 5.
  EXPECT_EQ(SmallestSession(round, secagg, 20), 7);
  EXPECT_EQ(SmallestSession(round, secagg, 8), 7);
}

TEST(SmallestSessionTest, IsNeverBelowTheQuorumTheSurvivorsOrThreeNodes) {
  EXPECT_EQ(SmallestSession({.quorum = 1}, {}, 20), kSessionNodesMin);
  EXPECT_EQ(SmallestSession({.quorum = 9}, {}, 20), 9);
  EXPECT_EQ(SmallestSession({.quorum = 9}, {.min_survivors = 11}, 20), 11);
}

TEST(SmallestSessionTest, AsksForEveryoneWhereNoSmallerNumberIsEnough) {
  EXPECT_EQ(SmallestSession({.quorum = 8}, {}, 8), 8);
  EXPECT_EQ(SmallestSession({.quorum = 1}, {.colluders = 6, .dropout_tolerance = 5}, 16), 16);
  EXPECT_EQ(SmallestSession({.quorum = 1}, {.colluders = 6, .dropout_tolerance = 5}, 4), 4);
  EXPECT_EQ(SmallestSession({.quorum = 1}, {}, 2), 2);
}

TEST(SmallestSessionTest, IsTheFirstThatFitsByTryingAll) {
  for (int64_t colluders = 0; colluders < 8; ++colluders) {
    for (int64_t tolerance = 0; tolerance < 8; ++tolerance) {
      const SecAggConfig secagg = {.colluders = colluders, .dropout_tolerance = tolerance};
      std::vector<int64_t> fitting;
      for (int64_t nodes = 5; nodes <= 40; ++nodes) {
        const bool fits = nodes - tolerance >= SessionThreshold(nodes, colluders);
        if (fits) fitting.push_back(nodes);
      }
      ASSERT_FALSE(fitting.empty());

      EXPECT_EQ(SmallestSession({.quorum = 5}, secagg, 40),
                *std::min_element(fitting.begin(), fitting.end()));
    }
  }
}

TEST(ShapeOfSessionTest, IsCompleteUpToSixtyFourNodes) {
  const SecAggConfig secagg = {.colluders = 5, .dropout_tolerance = 3, .min_survivors = 2};
  EXPECT_EQ(
      ShapeOfSession(secagg, 64),
      (SessionShape{.degree = 63, .threshold = 35, .survivors_min = 35, .is_complete = true}));
  EXPECT_FALSE(ShapeOfSession(secagg, 65).is_complete);
}

TEST(ShapeOfSessionTest, ASparseGraphIsTheOneFoundForEightyBits) {
  const SessionShape shape =
      ShapeOfSession({.colluders = 100, .dropout_tolerance = 50, .min_survivors = 7}, 1000);
  const auto found = FindGraphParameters({.nodes = 1000,
                                          .corrupt = 0.1,
                                          .dropout = 0.05,
                                          .adversary = Adversary::kSemiMalicious,
                                          .security_bits = 80});

  ASSERT_OK(found.status());
  EXPECT_EQ(shape.degree, found->degree);
  EXPECT_EQ(shape.threshold, found->threshold);
  EXPECT_EQ(shape.survivors_min, 950);
  EXPECT_FALSE(shape.is_complete);
}

TEST(ShapeOfSessionTest, IsCompleteWhereNoSparseGraphBearsTheLosses) {
  // 0.33 + 2 * 0.3 > 0.9
  EXPECT_EQ(
      ShapeOfSession({.colluders = 66, .dropout_tolerance = 60}, 200),
      (SessionShape{.degree = 199, .threshold = 134, .survivors_min = 134, .is_complete = true}));
}

TEST(UpdatesNeededTest, IsTheLargestOfThresholdQuorumAndSurvivors) {
  EXPECT_EQ(UpdatesNeeded({.quorum = 1}, {.colluders = 2}, 8), 6);
  EXPECT_EQ(UpdatesNeeded({.quorum = 7}, {.colluders = 2}, 8), 7);
  EXPECT_EQ(UpdatesNeeded({.quorum = 7}, {.colluders = 2, .min_survivors = 8}, 8), 8);
}

}  // namespace
}  // namespace skerry
