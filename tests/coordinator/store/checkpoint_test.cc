#include "coordinator/store/checkpoint.h"

#include "tests/coordinator/store/store_fixture.h"

namespace skerry {
namespace {

using testing::HasSubstr;

using CheckpointTest = StoreFixture;

TEST_F(CheckpointTest, ModelAndStateAreReadBackBitByBit) {
  const ParameterVector model = Model(0.1f);
  const ParameterVector m = Model(10.3f);
  const ParameterVector v = Model(-20.7f);

  ASSERT_OK_AND_ASSIGN(
      const CheckpointFiles files,
      WriteCheckpoint(
          dir(),
          {RoundId(12), &model, {{"m", &m}, {"v", &v}}, {{"round", "12"}}, {{"steps", "12"}}}));

  EXPECT_EQ(files.model, "models/round-000012.safetensors");
  EXPECT_EQ(files.state, "state/round-000012.safetensors");
  ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                       ReadCheckpoint(dir(), files, layout_, {"m", "v"}));
  const auto equal = [](const ParameterVector& a, const ParameterVector& b) {
    return std::equal(a.values().begin(), a.values().end(), b.values().begin(), b.values().end());
  };
  EXPECT_TRUE(equal(loaded.model, model));
  ASSERT_EQ(loaded.state.size(), 2u);
  EXPECT_EQ(loaded.state[0].first, "m");
  EXPECT_TRUE(equal(loaded.state[0].second, m));
  EXPECT_EQ(loaded.state[1].first, "v");
  EXPECT_TRUE(equal(loaded.state[1].second, v));
  EXPECT_EQ(loaded.model_metadata.at("round"), "12");
  EXPECT_EQ(loaded.state_metadata.at("steps"), "12");
}

TEST_F(CheckpointTest, StateIsAPublicFileWithOneTensorPerPartAndParameter) {
  const ParameterVector model = Model(0);
  ASSERT_OK_AND_ASSIGN(
      const CheckpointFiles files,
      WriteCheckpoint(dir(), {RoundId(1), &model, {{"m", &model}, {"v", &model}}, {}, {}}));

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file, ReadSafetensors(Path(files.state)));

  std::vector<std::string> names;
  for (const TensorShape& tensor : file.parameters.layout()->tensors()) {
    names.push_back(tensor.name);
  }
  EXPECT_THAT(names, testing::ElementsAre("m/w", "m/b", "v/w", "v/b"));
}

TEST_F(CheckpointTest, StrategyWithoutStateWritesNoStateFile) {
  const ParameterVector model = Model(0);

  ASSERT_OK_AND_ASSIGN(const CheckpointFiles files,
                       WriteCheckpoint(dir(), {RoundId(1), &model, {}, {}, {}}));

  EXPECT_EQ(files.state, "");
  EXPECT_FALSE(Exists("state"));
  EXPECT_OK(ReadCheckpoint(dir(), files, layout_, {}));
}

TEST_F(CheckpointTest, StateOfAnotherStrategyIsRefused) {
  const ParameterVector model = Model(0);
  ASSERT_OK_AND_ASSIGN(const CheckpointFiles files,
                       WriteCheckpoint(dir(), {RoundId(1), &model, {{"m", &model}}, {}, {}}));

  EXPECT_THAT(ReadCheckpoint(dir(), files, layout_, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("keeps no state")));
  EXPECT_THAT(ReadCheckpoint(dir(), files, layout_, {"m", "v"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("v/w is missing")));
  EXPECT_THAT(ReadCheckpoint(dir(), {files.model, ""}, layout_, {"m"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has no state file")));
}

}  // namespace
}  // namespace skerry
