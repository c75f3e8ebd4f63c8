#include "coordinator/store/noisy_sum.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::ElementsAre;

const NoisySumKey kKey{.round = RoundId(7), .attempt = AttemptId(2)};
const std::vector<NodeId> kSurvivors = {NodeId("node-1"), NodeId("node-3")};
const std::vector<uint32_t> kSum = {1, 0xFFFFFFFF, 7};

TEST(NoisySumTest, WhatWasWrittenComesBackWithItsSurvivors) {
  const TemporaryDirectory folder;
  ASSERT_OK(WriteNoisySum(folder / "run", kKey, kSurvivors, kSum));

  ASSERT_OK_AND_ASSIGN(const auto noisy, ReadNoisySum(folder / "run", kKey, 3));

  ASSERT_TRUE(noisy.has_value());
  EXPECT_EQ(noisy->ring_sum, kSum);
  EXPECT_EQ(noisy->survivors, kSurvivors);
}

TEST(NoisySumTest, ASecondDrawDoesNotReplaceTheFirst) {
  const TemporaryDirectory folder;
  ASSERT_OK(WriteNoisySum(folder / "run", kKey, kSurvivors, kSum));
  const std::vector<uint32_t> other = {2, 3, 4};

  EXPECT_THAT(WriteNoisySum(folder / "run", kKey, kSurvivors, other),
              StatusIs(absl::StatusCode::kAlreadyExists));

  ASSERT_OK_AND_ASSIGN(const auto noisy, ReadNoisySum(folder / "run", kKey, 3));
  EXPECT_EQ(noisy->ring_sum, kSum);
}

TEST(NoisySumTest, ARoundAndAttemptHaveTheirOwn) {
  const TemporaryDirectory folder;
  ASSERT_OK(WriteNoisySum(folder / "run", kKey, kSurvivors, kSum));

  ASSERT_OK_AND_ASSIGN(const auto attempt,
                       ReadNoisySum(folder / "run", {RoundId(7), AttemptId(1)}, 3));
  EXPECT_FALSE(attempt.has_value());
  ASSERT_OK_AND_ASSIGN(const auto round,
                       ReadNoisySum(folder / "run", {RoundId(8), AttemptId(2)}, 3));
  EXPECT_FALSE(round.has_value());
}

TEST(NoisySumTest, AFileThatIsTooShortOrDamagedIsRefused) {
  const TemporaryDirectory folder;
  ASSERT_OK(WriteNoisySum(folder / "run", kKey, kSurvivors, kSum));

  EXPECT_THAT(ReadNoisySum(folder / "run", kKey, 100).status(),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(ReadNoisySum(folder / "run", kKey, 2).status(),  // survivors begin elsewhere
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(NoisySumTest, RemovedOnesAreGoneAndNothingElseIs) {
  const TemporaryDirectory folder;
  ASSERT_OK(WriteNoisySum(folder / "run", kKey, kSurvivors, kSum));
  ASSERT_OK(WriteFileAtomically(folder / "run/state/round-000007.safetensors", "x"));

  RemoveNoisySums(folder / "run");

  ASSERT_OK_AND_ASSIGN(const auto noisy, ReadNoisySum(folder / "run", kKey, 3));
  EXPECT_FALSE(noisy.has_value());
  EXPECT_TRUE(std::filesystem::exists(folder / "run/state/round-000007.safetensors"));
}

}  // namespace
}  // namespace skerry
