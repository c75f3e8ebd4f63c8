#include "common/config/graph_parameters.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr Adversary kHonest = Adversary::kSemiHonest;
constexpr Adversary kMalicious = Adversary::kSemiMalicious;

struct Vector {
  int64_t nodes;
  GraphParameters graph;
};

void ExpectVectors(double corrupt, double dropout, Adversary adversary,
                   const std::vector<Vector>& vectors) {
  for (const Vector& vector : vectors) {
    SCOPED_TRACE(vector.nodes);
    ASSERT_OK_AND_ASSIGN(const GraphParameters graph,
                         FindGraphParameters({.nodes = vector.nodes,
                                              .corrupt = corrupt,
                                              .dropout = dropout,
                                              .adversary = adversary}));

    EXPECT_EQ(graph.degree, vector.graph.degree);
    EXPECT_EQ(graph.threshold, vector.graph.threshold);
  }
}

// Published with Google's rule (federated-compute, graph_parameter_finder_test).
TEST(GraphParametersTest, AreThePublishedOnesOfASemiHonestCoordinator) {
  ExpectVectors(.45, .45, kHonest,
                {{100, {92, 46}},
                 {1000, {822, 417}},
                 {10'000, {3494, 1771}},
                 {100'000, {5508, 2788}},
                 {1'000'000, {6240, 3156}}});
  ExpectVectors(.33, .33, kHonest,
                {{10, {8, 4}},
                 {100, {68, 34}},
                 {1000, {286, 150}},
                 {10'000, {422, 221}},
                 {100'000, {480, 251}},
                 {1'000'000, {518, 270}}});
  ExpectVectors(.05, .33, kHonest,
                {{10, {4, 2}},
                 {100, {28, 6}},
                 {1000, {72, 24}},
                 {10'000, {86, 29}},
                 {100'000, {96, 32}},
                 {1'000'000, {102, 34}}});
  ExpectVectors(.33, .05, kHonest,
                {{10, {4, 4}},
                 {100, {34, 29}},
                 {1000, {78, 60}},
                 {10'000, {92, 70}},
                 {100'000, {102, 77}},
                 {1'000'000, {110, 83}}});
  ExpectVectors(.05, .05, kHonest,
                {{10, {2, 2}},
                 {100, {12, 6}},
                 {1000, {30, 17}},
                 {10'000, {34, 20}},
                 {100'000, {36, 21}},
                 {1'000'000, {38, 22}}});
  ExpectVectors(.33, 0, kHonest,
                {{10, {4, 4}},
                 {100, {26, 25}},
                 {1000, {38, 36}},
                 {10'000, {42, 40}},
                 {100'000, {46, 44}},
                 {1'000'000, {50, 47}}});
  ExpectVectors(0, .33, kHonest,
                {{10, {4, 2}},
                 {100, {26, 2}},
                 {1000, {38, 2}},
                 {10'000, {42, 2}},
                 {100'000, {46, 2}},
                 {1'000'000, {50, 2}}});
  ExpectVectors(0, 0, kHonest, {{10, {2, 2}}, {1000, {2, 2}}, {1'000'000, {2, 2}}});
}

TEST(GraphParametersTest, AreThePublishedOnesOfASemiMaliciousCoordinator) {
  ExpectVectors(.3, .3, kMalicious,
                {{100, {92, 62}},
                 {1000, {872, 584}},
                 {10'000, {4822, 3230}},
                 {100'000, {9388, 6286}},
                 {1'000'000, {11'136, 7454}}});
  ExpectVectors(.05, .33, kMalicious,
                {{10, {8, 5}},
                 {100, {72, 39}},
                 {1000, {398, 223}},
                 {10'000, {746, 420}},
                 {100'000, {882, 496}},
                 {1'000'000, {970, 545}}});
  ExpectVectors(.33, .05, kMalicious,
                {{10, {4, 4}},
                 {100, {42, 37}},
                 {1000, {132, 109}},
                 {10'000, {178, 146}},
                 {100'000, {196, 160}},
                 {1'000'000, {212, 173}}});
  ExpectVectors(.05, .05, kMalicious,
                {{10, {2, 2}},
                 {100, {16, 11}},
                 {1000, {52, 37}},
                 {10'000, {62, 44}},
                 {100'000, {68, 48}},
                 {1'000'000, {74, 52}}});
  ExpectVectors(.33, 0, kMalicious,
                {{10, {4, 4}},
                 {100, {26, 26}},
                 {1000, {38, 37}},
                 {10'000, {42, 41}},
                 {100'000, {46, 45}},
                 {1'000'000, {50, 49}}});
  ExpectVectors(0, .33, kMalicious,
                {{10, {8, 5}},
                 {100, {68, 35}},
                 {1000, {228, 115}},
                 {10'000, {326, 164}},
                 {100'000, {372, 187}},
                 {1'000'000, {410, 206}}});
  ExpectVectors(0, 0, kMalicious, {{10, {2, 2}}, {1000, {2, 2}}, {1'000'000, {2, 2}}});
}

// Computed once by another implementation of the rule, in Python.
TEST(GraphParametersTest, OfCohortsThatAreNotPowersOfTen) {
  ExpectVectors(.1, .1, kMalicious,
                {{32, {10, 7}},
                 {64, {20, 14}},
                 {100, {32, 22}},
                 {128, {38, 26}},
                 {256, {62, 43}},
                 {512, {82, 57}},
                 {1000, {96, 67}}});
  ExpectVectors(.2, .2, kMalicious,
                {{32, {20, 14}},
                 {64, {38, 26}},
                 {100, {62, 42}},
                 {128, {76, 51}},
                 {256, {144, 98}},
                 {512, {220, 150}},
                 {1000, {302, 206}}});
  ExpectVectors(.33, .1, kMalicious,
                {{32, {18, 15}},
                 {64, {34, 28}},
                 {100, {54, 44}},
                 {128, {66, 54}},
                 {256, {116, 92}},
                 {512, {168, 132}},
                 {1000, {218, 171}}});
}

// ---- the rule again, in exact integers, for graphs small enough --------------------------------

using Exact = unsigned __int128;
constexpr size_t kExactNodesMax = 50;

// Pascal's triangle; C(50, 25) has 47 bits.
Exact Choose(int64_t n, int64_t k) {
  static const auto triangle = [] {
    std::array<std::array<Exact, kExactNodesMax + 1>, kExactNodesMax + 1> rows{};
    for (size_t i = 0; i <= kExactNodesMax; ++i) {
      rows[i][0] = 1;
      for (size_t j = 1; j <= i; ++j) rows[i][j] = rows[i - 1][j - 1] + rows[i - 1][j];
    }
    return rows;
  }();
  return k < 0 || k > n ? 0 : triangle[static_cast<size_t>(n)][static_cast<size_t>(k)];
}

// Ways to draw `draws` of n, `marked` of which are special, with `from` to `to` special ones.
Exact Ways(int64_t n, int64_t marked, int64_t draws, int64_t from, int64_t to) {
  Exact ways = 0;
  for (int64_t x = std::max<int64_t>(from, 0); x <= std::min(to, draws); ++x) {
    ways += Choose(marked, x) * Choose(n - marked, draws - x);
  }
  return ways;
}

// Percentages, so that counts are exact.
struct ExactCase {
  int64_t nodes;
  int64_t corrupt_percent;
  int64_t dropout_percent;
  Adversary adversary;
};

std::optional<GraphParameters> ExactRule(const ExactCase& wanted) {
  const int64_t n = wanted.nodes;
  const int64_t corrupt = n * wanted.corrupt_percent / 100;
  const int64_t lost = n * wanted.dropout_percent / 100;
  const int64_t bad = corrupt + lost;
  std::vector<int64_t> degrees;
  for (int64_t k = 2; k < n - 1; k += 2) degrees.push_back(k);
  degrees.push_back(n - 1);
  for (const int64_t k : degrees) {
    // n (n - k - 1) / 2 * C(n - k, bad - k) / C(n, bad) < 2^-41
    const Exact pairs = static_cast<Exact>(n * (n - k - 1));
    if ((pairs * Choose(n - k, bad - k)) << 40 >= Choose(n, bad)) {
      if (pairs * Choose(n - k, bad - k) != 0) continue;
    }
    int64_t t1 = 0;
    while ((Ways(n, corrupt, k, t1 + 1, k) * static_cast<Exact>(n)) << 41 > Choose(n, k)) ++t1;
    int64_t t2 = k;
    while ((Ways(n, n - lost, k, 0, t2 - 1) * static_cast<Exact>(n)) << 20 > Choose(n, k)) --t2;
    const double semi_malicious = std::ceil((static_cast<double>(t1 + k) - 1.25) / 2.0);
    if (wanted.adversary == kMalicious) t1 = static_cast<int64_t>(semi_malicious);
    if (t1 < t2) return GraphParameters{k, std::max<int64_t>(t1 + 1, 2)};
  }
  return std::nullopt;
}

TEST(GraphParametersTest, OfSmallGraphsAreThoseOfExactArithmetic) {
  int feasible = 0;
  int infeasible = 0;
  for (int64_t nodes = 3; nodes <= static_cast<int64_t>(kExactNodesMax); ++nodes) {
    for (int64_t corrupt = 0; corrupt <= 60; corrupt += 5) {
      for (int64_t dropout = 0; dropout <= 40; dropout += 5) {
        for (const Adversary adversary : {kHonest, kMalicious}) {
          const int64_t bad = corrupt + dropout * (adversary == kMalicious ? 2 : 1);
          if (bad > 90) continue;
          SCOPED_TRACE(testing::Message()
                       << nodes << " nodes, " << corrupt << " % corrupt, " << dropout << " % lost");
          const absl::StatusOr<GraphParameters> graph =
              FindGraphParameters({.nodes = nodes,
                                   .corrupt = static_cast<double>(corrupt) / 100,
                                   .dropout = static_cast<double>(dropout) / 100,
                                   .adversary = adversary});

          const auto expected = ExactRule({nodes, corrupt, dropout, adversary});
          ASSERT_EQ(graph.ok(), expected.has_value());
          (expected.has_value() ? feasible : infeasible) += 1;
          if (!expected.has_value()) continue;
          EXPECT_EQ(graph->degree, expected->degree);
          EXPECT_EQ(graph->threshold, expected->threshold);
        }
      }
    }
  }
  EXPECT_GT(feasible, 5000);
  EXPECT_GT(infeasible, 50);
}

// ---- what is refused ---------------------------------------------------------------------------

TEST(GraphParametersTest, TooManyBadNodesAreInfeasible) {
  const auto find = [](double corrupt, double dropout, Adversary adversary) {
    return FindGraphParameters(
        {.nodes = 1000, .corrupt = corrupt, .dropout = dropout, .adversary = adversary});
  };

  EXPECT_OK(find(.45, .45, kHonest));
  EXPECT_THAT(find(.5, .45, kHonest),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("corrupt + dropout must be at most 0.9, got 0.95")));
  EXPECT_OK(find(.3, .3, kMalicious));
  EXPECT_THAT(find(.31, .3, kMalicious),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("corrupt + 2 x dropout must be at most 0.9, got 0.91")));
}

TEST(GraphParametersTest, SmallGroupsMayHaveNoGraphAtAll) {
  // Of 4 nodes, one is lost and one corrupt: of 3 neighbours 2 stay, and 3 shares are needed.
  EXPECT_THAT(FindGraphParameters({.nodes = 4, .corrupt = .25, .dropout = .25}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("not even the complete graph of 4 nodes is enough"),
                             HasSubstr("3 shares must be needed"), HasSubstr("only 2"))));
}

TEST(GraphParametersTest, TheLastResortIsTheCompleteGraph) {
  ASSERT_OK_AND_ASSIGN(const GraphParameters graph,
                       FindGraphParameters({.nodes = 6, .corrupt = .4, .dropout = .17}));

  EXPECT_TRUE(IsComplete(graph, 6));
  EXPECT_FALSE(IsComplete({.degree = 4, .threshold = 2}, 6));
}

TEST(GraphParametersTest, NumbersOutOfRangeAreRefused) {
  const double nan = std::nan("");
  for (const GraphRequirements& wanted : {GraphRequirements{.nodes = 2},
                                          {.nodes = 0},
                                          {.nodes = -5},
                                          {.nodes = kGraphNodesMax + 1},
                                          {.nodes = 100, .corrupt = 1},
                                          {.nodes = 100, .corrupt = -.1},
                                          {.nodes = 100, .corrupt = nan},
                                          {.nodes = 100, .dropout = 1},
                                          {.nodes = 100, .dropout = -.1},
                                          {.nodes = 100, .dropout = nan}}) {
    EXPECT_THAT(FindGraphParameters(wanted), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_OK(FindGraphParameters({.nodes = 3}));
}

}  // namespace
}  // namespace skerry
