#include "common/ml/partition.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "common/base/rng.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

// `per_class` rows of each of `class_count` classes, mixed.
std::vector<uint32_t> MixedLabels(uint32_t class_count, uint32_t per_class) {
  std::vector<uint32_t> labels(class_count * per_class);
  for (uint32_t i = 0; i < labels.size(); ++i) labels[i] = i % class_count;
  Rng rng(11);
  rng.Shuffle(labels);
  return labels;
}

class PartitionTest : public testing::Test {
 protected:
  PartitionRequest Request(PartitionScheme scheme, size_t node_count) {
    rows_ = ChooseRows(labels_.size(), 0, 0);
    PartitionRequest request;
    request.keys = labels_;
    request.rows = rows_;
    request.node_count = node_count;
    request.config.scheme = scheme;
    request.seed = 5;
    return request;
  }

  // Every row on exactly one node, ascending within it, no node empty.
  void ExpectWhole(const Partition& partition, size_t row_count) {
    std::vector<uint32_t> all;
    for (size_t node = 0; node < partition.node_count(); ++node) {
      const auto rows = partition.rows(node);
      EXPECT_FALSE(rows.empty()) << node;
      EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
      all.insert(all.end(), rows.begin(), rows.end());
    }
    std::sort(all.begin(), all.end());
    std::vector<uint32_t> expected(row_count);
    std::iota(expected.begin(), expected.end(), 0u);
    EXPECT_EQ(all, expected);
  }

  std::map<uint32_t, size_t> ClassesOf(const Partition& partition, size_t node) {
    std::map<uint32_t, size_t> counts;
    for (const uint32_t row : partition.rows(node)) ++counts[labels_[row]];
    return counts;
  }

  std::vector<uint32_t> labels_ = MixedLabels(10, 100);
  std::vector<uint32_t> rows_;
};

TEST_F(PartitionTest, EverySchemeIsWholeAndDependsOnTheSeedAlone) {
  for (const PartitionScheme scheme :
       {PartitionScheme::kIid, PartitionScheme::kDirichlet, PartitionScheme::kShards}) {
    for (const size_t node_count : {1u, 7u, 100u}) {
      PartitionRequest request = Request(scheme, node_count);
      ASSERT_OK_AND_ASSIGN(const Partition partition, MakePartition(request));
      ASSERT_OK_AND_ASSIGN(const Partition again, MakePartition(request));
      request.seed = 6;
      ASSERT_OK_AND_ASSIGN(const Partition other, MakePartition(request));

      ExpectWhole(partition, labels_.size());
      EXPECT_TRUE(std::ranges::equal(partition.rows(0), again.rows(0)));
      if (node_count > 1) {
        EXPECT_FALSE(std::ranges::equal(partition.rows(0), other.rows(0)));
      }
    }
  }
}

TEST_F(PartitionTest, IidSizesDifferByAtMostOne) {
  ASSERT_OK_AND_ASSIGN(const Partition partition, MakePartition(Request(PartitionScheme::kIid, 7)));

  std::multiset<size_t> sizes;
  for (size_t node = 0; node < 7; ++node) sizes.insert(partition.rows(node).size());
  EXPECT_EQ(sizes.count(142), 1u);  // 1000 = 1 x 142 + 6 x 143
  EXPECT_EQ(sizes.count(143), 6u);
}

TEST_F(PartitionTest, IidNodesSeeEveryClass) {
  ASSERT_OK_AND_ASSIGN(const Partition partition, MakePartition(Request(PartitionScheme::kIid, 4)));

  for (size_t node = 0; node < 4; ++node) EXPECT_EQ(ClassesOf(partition, node).size(), 10u);
}

// Variance of a share under Dirichlet(a, .., a) over n nodes: (1/n)(1 - 1/n) / (n a + 1).
TEST_F(PartitionTest, DirichletSharesHaveTheVarianceOfTheirAlpha) {
  constexpr size_t kNodes = 5;
  labels_ = MixedLabels(200, 50);
  for (const double alpha : {0.1, 1.0, 100.0}) {
    PartitionRequest request = Request(PartitionScheme::kDirichlet, kNodes);
    request.config.alpha = alpha;
    ASSERT_OK_AND_ASSIGN(const Partition partition, MakePartition(request));

    double sum_of_squares = 0;
    for (size_t node = 0; node < kNodes; ++node) {
      std::map<uint32_t, size_t> counts = ClassesOf(partition, node);
      for (uint32_t label = 0; label < 200; ++label) {
        const double share = static_cast<double>(counts[label]) / 50;
        sum_of_squares += (share - 0.2) * (share - 0.2);
      }
    }
    // Both ends of a share are rounded to fiftieths, each with variance (1/50)^2 / 12 at most.
    const double expected = 0.2 * 0.8 / (kNodes * alpha + 1) + 1.0 / 15'000;
    EXPECT_NEAR(sum_of_squares / 1000, expected, 0.15 * expected) << alpha;
  }
}

TEST_F(PartitionTest, DirichletWithATinyAlphaStillFillsEveryNode) {
  PartitionRequest request = Request(PartitionScheme::kDirichlet, 900);
  request.config.alpha = 1e-6;

  ASSERT_OK_AND_ASSIGN(const Partition partition, MakePartition(request));

  ExpectWhole(partition, labels_.size());
}

TEST_F(PartitionTest, ShardsGiveANodeFewClasses) {
  PartitionRequest request = Request(PartitionScheme::kShards, 50);
  request.config.shards_per_node = 2;

  ASSERT_OK_AND_ASSIGN(const Partition partition, MakePartition(request));

  for (size_t node = 0; node < 50; ++node) {
    EXPECT_EQ(partition.rows(node).size(), 20u);
    EXPECT_LE(ClassesOf(partition, node).size(),
              2u);  // shards of 10 rows never mix 100-row classes
  }
}

TEST_F(PartitionTest, ColumnGivesOneNodeForEachValueInOrder) {
  labels_ = {2, 0, 1, 0, 2};

  ASSERT_OK_AND_ASSIGN(const Partition partition,
                       MakePartition(Request(PartitionScheme::kColumn, 3)));

  EXPECT_THAT(partition.rows(0), ElementsAre(1, 3));
  EXPECT_THAT(partition.rows(1), ElementsAre(2));
  EXPECT_THAT(partition.rows(2), ElementsAre(0, 4));
}

TEST_F(PartitionTest, ColumnWithAnotherNumberOfValuesSaysWhatToSet) {
  labels_ = {2, 0, 1};
  PartitionRequest request = Request(PartitionScheme::kColumn, 2);
  request.config.column = "ward";

  EXPECT_THAT(MakePartition(request),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("column ward has 3"), HasSubstr("round.nodes to 3"))));
}

TEST_F(PartitionTest, TooFewRowsAreRefused) {
  labels_ = {0, 1, 0};
  EXPECT_OK(MakePartition(Request(PartitionScheme::kIid, 3)));
  EXPECT_THAT(MakePartition(Request(PartitionScheme::kIid, 4)),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("3 rows, too few for 4 nodes")));
  EXPECT_THAT(MakePartition(Request(PartitionScheme::kDirichlet, 4)),
              StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(MakePartition(Request(PartitionScheme::kShards, 2)),  // of two shards each
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("too few for 2 nodes with 2")));
}

TEST_F(PartitionTest, OnlyTheChosenRowsAreDivided) {
  PartitionRequest request = Request(PartitionScheme::kIid, 2);
  const std::vector<uint32_t> chosen = {3, 8, 500};
  request.rows = chosen;

  ASSERT_OK_AND_ASSIGN(const Partition partition, MakePartition(request));

  std::vector<uint32_t> all(partition.rows(0).begin(), partition.rows(0).end());
  all.insert(all.end(), partition.rows(1).begin(), partition.rows(1).end());
  EXPECT_THAT(all, testing::UnorderedElementsAre(3, 8, 500));
}

TEST(ChooseRowsTest, TakesSoManyDistinctRowsInOrder) {
  const std::vector<uint32_t> rows = ChooseRows(100, 10, 1);

  EXPECT_EQ(rows.size(), 10u);
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_EQ(std::set<uint32_t>(rows.begin(), rows.end()).size(), 10u);
  EXPECT_THAT(rows, Each(testing::Lt(100u)));
  EXPECT_NE(rows, ChooseRows(100, 10, 2));
  EXPECT_EQ(ChooseRows(3, 0, 1).size(), 3u);
  EXPECT_EQ(ChooseRows(3, 4, 1).size(), 3u);
}

TEST(SplitHeldOutTest, SetsTheFractionAsideAndKeepsAtLeastOneRow) {
  const std::vector<uint32_t> rows = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0};

  const HeldOutSplit split = SplitHeldOut(rows, 0.25, 3);

  EXPECT_EQ(split.held_out.size(), 2u);
  EXPECT_EQ(split.training.size(), 8u);
  std::vector<uint32_t> all = split.training;
  all.insert(all.end(), split.held_out.begin(), split.held_out.end());
  EXPECT_THAT(all, testing::UnorderedElementsAreArray(rows));
  EXPECT_TRUE(std::is_sorted(split.training.rbegin(), split.training.rend()));
  EXPECT_NE(split.held_out, SplitHeldOut(rows, 0.25, 4).held_out);
  const std::vector<uint32_t> one = {42};
  EXPECT_THAT(SplitHeldOut(one, 0.99, 3).training, ElementsAre(42));
  EXPECT_TRUE(SplitHeldOut({}, 0.5, 3).training.empty());
}

}  // namespace
}  // namespace skerry
