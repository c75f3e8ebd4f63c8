#include "coordinator/selection/cohort.h"

#include <algorithm>
#include <map>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry {
namespace {

using testing::IsEmpty;
using testing::IsSubsetOf;
using testing::SizeIs;

std::vector<NodeId> Roster(int count) {
  std::vector<NodeId> roster;
  for (int i = 0; i < count; ++i) roster.emplace_back(fmt::format("node-{:04}", i));
  return roster;
}

TEST(CohortTest, IsSortedWithoutRepeatsAndFromTheRoster) {
  const std::vector<NodeId> roster = Roster(100);

  const std::vector<NodeId> cohort = SelectCohort(roster, 42, RoundId(3), 37);

  EXPECT_THAT(cohort, SizeIs(37));
  EXPECT_THAT(cohort, IsSubsetOf(roster));
  EXPECT_TRUE(std::is_sorted(cohort.begin(), cohort.end()));
  EXPECT_EQ(std::adjacent_find(cohort.begin(), cohort.end()), cohort.end());
}

TEST(CohortTest, DependsOnSeedAndRoundOnly) {
  const std::vector<NodeId> roster = Roster(100);
  const std::vector<NodeId> cohort = SelectCohort(roster, 42, RoundId(3), 10);

  EXPECT_EQ(SelectCohort(roster, 42, RoundId(3), 10), cohort);
  EXPECT_NE(SelectCohort(roster, 42, RoundId(4), 10), cohort);
  EXPECT_NE(SelectCohort(roster, 43, RoundId(3), 10), cohort);
}

TEST(CohortTest, EdgesAreEveryoneAndNobody) {
  const std::vector<NodeId> roster = Roster(5);

  EXPECT_EQ(SelectCohort(roster, 1, RoundId(1), 5), roster);
  EXPECT_EQ(SelectCohort(roster, 1, RoundId(1), 6), roster);
  EXPECT_THAT(SelectCohort(roster, 1, RoundId(1), 4), SizeIs(4));
  EXPECT_THAT(SelectCohort(roster, 1, RoundId(1), 0), IsEmpty());
  EXPECT_THAT(SelectCohort({}, 1, RoundId(1), 3), IsEmpty());
}

// 6,000 rounds over the 10 sets of 2 of 5 nodes. Chi-squared with 9 degrees of freedom exceeds 27.9
// with probability 0.001; the seed is fixed, so the test always gives the same answer.
TEST(CohortTest, EverySetIsEquallyLikely) {
  const std::vector<NodeId> roster = Roster(5);
  std::map<std::vector<NodeId>, int> times;
  constexpr int kRounds = 6000;
  for (uint64_t round = 1; round <= kRounds; ++round) {
    ++times[SelectCohort(roster, 7, RoundId(round), 2)];
  }

  ASSERT_THAT(times, SizeIs(10));
  const double expected = kRounds / 10.0;
  double chi_squared = 0;
  for (const auto& [cohort, count] : times) {
    chi_squared += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_squared, 27.9);
}

}  // namespace
}  // namespace skerry
