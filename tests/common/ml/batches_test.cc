#include "common/ml/batches.h"

#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry {
namespace {

std::vector<uint32_t> Rows(uint32_t count) {
  std::vector<uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), 100u);
  return rows;
}

TEST(BatchesTest, EpochVisitsEveryRowOnceInAnOrderOfItsOwn) {
  const std::vector<uint32_t> rows = Rows(50);

  const std::vector<uint32_t> first = EpochOrder(rows, 7, 0);
  const std::vector<uint32_t> second = EpochOrder(rows, 7, 1);

  EXPECT_THAT(first, testing::UnorderedElementsAreArray(rows));
  EXPECT_THAT(second, testing::UnorderedElementsAreArray(rows));
  EXPECT_NE(first, rows);
  EXPECT_NE(first, second);
  EXPECT_NE(first, EpochOrder(rows, 8, 0));
  EXPECT_EQ(first, EpochOrder(rows, 7, 0));
}

TEST(BatchesTest, SeedDiffersByJobNodeAndRound) {
  const std::set<uint64_t> seeds = {TrainingSeed(1, "node-1", 1), TrainingSeed(2, "node-1", 1),
                                    TrainingSeed(1, "node-1", 1, 2), TrainingSeed(1, "node-2", 1),
                                    TrainingSeed(1, "node-1", 2)};

  EXPECT_EQ(seeds.size(), 5u);
}

}  // namespace
}  // namespace skerry
