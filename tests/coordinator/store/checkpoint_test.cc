#include "coordinator/store/checkpoint.h"

#include "tests/coordinator/store/store_fixture.h"

namespace skerry {
namespace {

using testing::HasSubstr;

using CheckpointTest = StoreFixture;

TEST_F(CheckpointTest, ModelAndStateAreReadBackBitByBit) {
  const ParameterVector model = Model(0.1f);
  const ParameterVector state = State(-20.7f);

  ASSERT_OK_AND_ASSIGN(const CheckpointFiles files,
                       WriteCheckpoint(dir(), {RoundId(12), &model, &state, {{"round", "12"}}}));

  EXPECT_EQ(files.model, "models/round-000012.safetensors");
  EXPECT_EQ(files.state, "state/round-000012.safetensors");
  ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                       ReadCheckpoint(dir(), files, layout_, state_layout_));
  EXPECT_EQ(Values(loaded.model), Values(model));
  EXPECT_EQ(Values(loaded.state.value()), Values(state));
  EXPECT_EQ(loaded.metadata.at("round"), "12");
}

TEST_F(CheckpointTest, StrategyWithoutStateWritesNoStateFile) {
  const ParameterVector model = Model(0);

  ASSERT_OK_AND_ASSIGN(const CheckpointFiles files,
                       WriteCheckpoint(dir(), {RoundId(1), &model, nullptr, {}}));

  EXPECT_EQ(files.state, "");
  EXPECT_FALSE(Exists("state"));
  EXPECT_OK(ReadCheckpoint(dir(), files, layout_, nullptr));
}

TEST_F(CheckpointTest, StateOfAnotherStrategyIsRefused) {
  const ParameterVector model = Model(0);
  const ParameterVector state = State(1);
  ASSERT_OK_AND_ASSIGN(const CheckpointFiles files,
                       WriteCheckpoint(dir(), {RoundId(1), &model, &state, {}}));

  EXPECT_THAT(ReadCheckpoint(dir(), files, layout_, nullptr),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("keeps no state")));
  EXPECT_THAT(ReadCheckpoint(dir(), files, layout_, layout_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("w is missing")));
  EXPECT_THAT(ReadCheckpoint(dir(), {files.model, ""}, layout_, state_layout_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has no state file")));
}

}  // namespace
}  // namespace skerry
