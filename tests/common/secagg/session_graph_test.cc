#include "common/secagg/session_graph.h"

#include <algorithm>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto/sha256.h"

namespace skerry {
namespace {

using ::testing::ElementsAre;

std::vector<size_t> Holders(const SessionGraph& graph, size_t member) {
  const auto holders = graph.HoldersOf(member);
  return {holders.begin(), holders.end()};
}

TEST(SessionGraphTest, InACompleteGraphEveryoneHoldsASharesOfEveryoneAndItself) {
  const SessionGraph graph = SessionGraph::Complete(4);

  EXPECT_THAT(Holders(graph, 2), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(graph.PartnersOf(2), ElementsAre(0, 1, 3));
}

TEST(SessionGraphTest, OnARingThePartnersAreTheNearestOnEitherSide) {
  const SessionGraph graph = SessionGraph::Ring({3, 0, 6, 2, 5, 1, 4}, 4);

  EXPECT_THAT(Holders(graph, 2), ElementsAre(0, 1, 5, 6));
  EXPECT_THAT(graph.PartnersOf(2), ElementsAre(0, 1, 5, 6));
  EXPECT_THAT(graph.PartnersOf(3), ElementsAre(0, 1, 4, 6));  // around the end
}

TEST(SessionGraphTest, PartnersAreMutualAndAsManyAsTheDegreeForEveryRing) {
  for (size_t count = 5; count < 40; ++count) {
    for (size_t degree = 2; degree < count; degree += 2) {
      const SessionGraph graph =
          SessionGraph::Ring(RingOrder(Sha256Of("ring " + std::to_string(count)), count), degree);
      for (size_t member = 0; member < count; ++member) {
        const std::vector<size_t> partners = graph.PartnersOf(member);
        ASSERT_EQ(partners.size(), degree);
        ASSERT_TRUE(std::is_sorted(partners.begin(), partners.end()));
        ASSERT_EQ(std::set<size_t>(partners.begin(), partners.end()).size(), degree);
        for (size_t i = 0; i < degree; ++i) {
          ASSERT_EQ(graph.PlaceAmongPartners(member, partners[i]), i);
          const std::vector<size_t> back = graph.PartnersOf(partners[i]);
          ASSERT_TRUE(std::binary_search(back.begin(), back.end(), member));
        }
      }
    }
  }
}

TEST(SessionGraphTest, PlaceAmongPartnersLeavesTheMemberItselfOut) {
  const SessionGraph graph = SessionGraph::Complete(5);

  for (size_t member = 0; member < 5; ++member) {
    const std::vector<size_t> partners = graph.PartnersOf(member);
    for (size_t i = 0; i < partners.size(); ++i) {
      EXPECT_EQ(graph.PlaceAmongPartners(member, partners[i]), i);
    }
  }
}

// Harary: with fewer nodes lost than the degree, the others are connected.
TEST(SessionGraphTest, ARingStaysConnectedWhateverNodesFewerThanItsDegreeAreLost) {
  constexpr size_t kCount = 10;
  const SessionGraph graph = SessionGraph::Ring(RingOrder(Sha256Of("ten"), kCount), 4);
  for (unsigned lost = 0; lost < (1u << kCount); ++lost) {
    if (std::popcount(lost) > 3) continue;
    std::vector<size_t> seen;
    unsigned visited = lost;
    for (size_t start = 0; start < kCount && seen.empty(); ++start) {
      if (!(lost >> start & 1)) seen.push_back(start), visited |= 1u << start;
    }
    for (size_t i = 0; i < seen.size(); ++i) {
      for (const size_t next : graph.PartnersOf(seen[i])) {
        if (visited >> next & 1) continue;
        visited |= 1u << next;
        seen.push_back(next);
      }
    }
    ASSERT_EQ(visited, (1u << kCount) - 1) << "lost " << lost;
  }
}

TEST(RingOrderTest, IsAPermutationThatEveryDigestMixesAnew) {
  std::vector<size_t> sum(20);
  constexpr size_t kDraws = 4000;
  for (size_t draw = 0; draw < kDraws; ++draw) {
    const std::vector<size_t> order = RingOrder(Sha256Of("draw " + std::to_string(draw)), 20);
    std::vector<size_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    for (size_t i = 0; i < 20; ++i) ASSERT_EQ(sorted[i], i);
    ++sum[order[0]];
  }
  // Chi-squared of who comes first, 19 degrees of freedom: 43.8 is its 99.9 % point. The digests
  // are fixed, so the test does not depend on luck.
  double chi_squared = 0;
  const double expected = kDraws / 20.0;
  for (const size_t count : sum) {
    const double off = static_cast<double>(count) - expected;
    chi_squared += off * off / expected;
  }
  EXPECT_LT(chi_squared, 43.8);
}

}  // namespace
}  // namespace skerry
