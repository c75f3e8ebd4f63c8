#include "coordinator/strategy/strategy.h"

#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;
using testing::SizeIs;

// Two one-element tensors, so that names and order are seen.
ParameterLayoutPtr TwoTensors() { return *ParameterLayout::Create({{"a", {1}}, {"b", {1}}}); }

// The three updates every optimiser below is given, from w = (1, -2).
const std::vector<std::vector<float>> kUpdates = {{0.5f, -1.0f}, {0.25f, 2.0f}, {-1.0f, 0.0f}};

struct After {
  std::vector<float> model;
  std::vector<float> state;  // m (if kept) of both coordinates, then v of both
};

// Rounding of float32 in a handful of operations on numbers of about 1.
constexpr float kTolerance = 2e-6f;

void ExpectSteps(const StrategyConfig& config, const std::vector<After>& expected) {
  const std::unique_ptr<const Strategy> strategy = MakeStrategy(config);
  ASSERT_OK_AND_ASSIGN(StrategyState state, strategy->InitialState(TwoTensors()));
  std::vector<float> model = {1.0f, -2.0f};
  for (size_t step = 0; step < kUpdates.size(); ++step) {
    strategy->Apply(model, kUpdates[step], state);

    EXPECT_THAT(model, Pointwise(FloatNear(kTolerance), expected[step].model)) << step;
    const std::vector<float> values =
        state ? std::vector<float>(state->values().begin(), state->values().end())
              : std::vector<float>();
    EXPECT_THAT(values, Pointwise(FloatNear(kTolerance), expected[step].state)) << step;
  }
}

StrategyConfig Adaptive(StrategyName name) {
  return {.name = name, .learning_rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .tau = 0.1};
}

// w + 0.5 D: 1 + 0.25 = 1.25, + 0.125 = 1.375, - 0.5 = 0.875; -2 - 0.5, + 1, + 0.
TEST(StrategyTest, FedAvgAddsTheScaledMeanUpdate) {
  ExpectSteps({.name = StrategyName::kFedAvg, .learning_rate = 0.5},
              {{{1.25f, -2.5f}, {}}, {{1.375f, -1.5f}, {}}, {{0.875f, -1.5f}, {}}});
}

TEST(StrategyTest, FedAvgWithRateOneGivesTheMeanOfTheNodesModelsToTheBit) {
  const auto strategy = MakeStrategy({.name = StrategyName::kFedAvg});
  StrategyState state;
  std::vector<float> model = {0.1f, -7.25f};
  const std::vector<float> update = {0.3f, 1e-3f};

  strategy->Apply(model, update, state);

  EXPECT_THAT(model, ElementsAre(0.1f + 0.3f, -7.25f + 1e-3f));
}

TEST(StrategyTest, FedProxIsFedAvgOnTheServer) {
  ExpectSteps({.name = StrategyName::kFedProx, .learning_rate = 0.5},
              {{{1.25f, -2.5f}, {}}, {{1.375f, -1.5f}, {}}, {{0.875f, -1.5f}, {}}});
}

// v: 0.5; 0.9 x 0.5 + 0.25 = 0.7; 0.9 x 0.7 - 1 = -0.37, and -1; -0.9 + 2 = 1.1; 0.99.
// w: + 0.5 v.
TEST(StrategyTest, FedAvgMFollowsItsMomentum) {
  ExpectSteps({.name = StrategyName::kFedAvgM, .learning_rate = 0.5, .momentum = 0.9},
              {{{1.25f, -2.5f}, {0.5f, -1.0f}},
               {{1.6f, -1.95f}, {0.7f, 1.1f}},
               {{1.415f, -1.455f}, {-0.37f, 0.99f}}});
}

// For all three: m = 0.9 m + 0.1 D gives 0.05, 0.07, -0.037 and -0.1, 0.11, 0.099; v starts at
// tau^2 = 0.01; w += 0.1 m / (sqrt(v) + 0.1).
//
// v + D^2: 0.26, 0.3225, 1.3225 and 1.01, 5.01, 5.01.
// First step: 1 + 0.005 / (sqrt(0.26) + 0.1) = 1 + 0.005 / 0.6099020 = 1.0081980.
TEST(StrategyTest, FedAdagradSumsSquares) {
  ExpectSteps(Adaptive(StrategyName::kFedAdagrad),
              {{{1.0081980f, -2.0090499f}, {0.05f, -0.1f, 0.26f, 1.01f}},
               {{1.0186788f, -2.0043456f}, {0.07f, 0.11f, 0.3225f, 5.01f}},
               {{1.0157188f, -2.0001118f}, {-0.037f, 0.099f, 1.3225f, 5.01f}}});
}

// D^2 above v adds 0.01 D^2: 0.01 + 0.0025 = 0.0125, + 0.000625, + 0.01 and 0.02, 0.06, 0.06.
TEST(StrategyTest, FedYogiMovesTheSecondMomentByASignedStep) {
  ExpectSteps(Adaptive(StrategyName::kFedYogi),
              {{{1.0236068f, -2.0414214f}, {0.05f, -0.1f, 0.0125f, 0.02f}},
               {{1.0562310f, -2.0095326f}, {0.07f, 0.11f, 0.013125f, 0.06f}},
               {{1.0415525f, -1.9808327f}, {-0.037f, 0.099f, 0.023125f, 0.06f}}});
}

// D^2 = 0.0025 lies below v = 0.01, so v falls to 0.01 - 0.01 x 0.0025; D^2 = v leaves it.
TEST(StrategyTest, FedYogiLowersTheSecondMomentWhenUpdatesShrink) {
  const auto strategy = MakeStrategy(Adaptive(StrategyName::kFedYogi));
  ASSERT_OK_AND_ASSIGN(StrategyState state, strategy->InitialState(TwoTensors()));
  std::vector<float> model = {0.0f, 0.0f};

  strategy->Apply(model, std::vector<float>{0.05f, 0.1f}, state);

  EXPECT_NEAR(state->values()[2], 0.009975f, 1e-8f);
  EXPECT_NEAR(state->values()[3], 0.01f, 1e-8f);
}

// 0.99 v + 0.01 D^2: 0.0099 + 0.0025 = 0.0124, 0.012276 + 0.000625 = 0.012901, 0.02277199 and
// 0.0199, 0.059701, 0.05910399. First step: 1 + 0.005 / (sqrt(0.0124) + 0.1) = 1.0236568, which
// would be 1.0331 with Adam's bias correction: the paper has none.
TEST(StrategyTest, FedAdamAveragesSquaresWithoutBiasCorrection) {
  ExpectSteps(Adaptive(StrategyName::kFedAdam),
              {{{1.0236568f, -2.0414822f}, {0.05f, -0.1f, 0.0124f, 0.0199f}},
               {{1.0564311f, -2.0095368f}, {0.07f, 0.11f, 0.012901f, 0.059701f}},
               {{1.0416844f, -1.9806834f}, {-0.037f, 0.099f, 0.02277199f, 0.05910399f}}});
}

TEST(StrategyTest, StateNamesEachMomentOfEachTensor) {
  const auto strategy = MakeStrategy(Adaptive(StrategyName::kFedAdam));
  ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr layout, strategy->StateLayout(TwoTensors()));

  ASSERT_THAT(layout->tensors(), SizeIs(4));
  EXPECT_EQ(layout->tensors()[0].name, "m/a");
  EXPECT_EQ(layout->tensors()[1].name, "m/b");
  EXPECT_EQ(layout->tensors()[2].name, "v/a");
  EXPECT_EQ(layout->tensors()[3].name, "v/b");
}

TEST(StrategyTest, StrategiesWithoutMomentsHaveNoState) {
  const auto strategy = MakeStrategy({.name = StrategyName::kFedAvg});
  ASSERT_OK_AND_ASSIGN(const StrategyState state, strategy->InitialState(TwoTensors()));
  ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr layout, strategy->StateLayout(TwoTensors()));

  EXPECT_FALSE(state.has_value());
  EXPECT_EQ(layout, nullptr);
  EXPECT_OK(strategy->ValidateState(TwoTensors(), state));
}

TEST(StrategyTest, AStateOfAnotherStrategyIsRefused) {
  const auto average = MakeStrategy({.name = StrategyName::kFedAvg});
  const auto momentum = MakeStrategy({.name = StrategyName::kFedAvgM});
  const auto adam = MakeStrategy(Adaptive(StrategyName::kFedAdam));
  ASSERT_OK_AND_ASSIGN(const StrategyState of_momentum, momentum->InitialState(TwoTensors()));

  EXPECT_OK(momentum->ValidateState(TwoTensors(), of_momentum));
  EXPECT_THAT(average->ValidateState(TwoTensors(), of_momentum),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("keeps none")));
  EXPECT_THAT(momentum->ValidateState(TwoTensors(), StrategyState()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("there is none")));
  EXPECT_THAT(adam->ValidateState(TwoTensors(), of_momentum),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 tensors and 2 values")));
}

TEST(StrategyTest, AStateOfAnotherModelIsRefused) {
  const auto momentum = MakeStrategy({.name = StrategyName::kFedAvgM});
  const ParameterLayoutPtr other = *ParameterLayout::Create({{"a", {1}}, {"c", {1}}});
  ASSERT_OK_AND_ASSIGN(const StrategyState state, momentum->InitialState(other));

  EXPECT_THAT(momentum->ValidateState(TwoTensors(), state),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(StrategyTest, ATensorNameWithoutRoomForThePrefixIsRefused) {
  const auto momentum = MakeStrategy({.name = StrategyName::kFedAvgM});
  const ParameterLayoutPtr layout = *ParameterLayout::Create({{std::string(255, 'x'), {1}}});

  EXPECT_THAT(momentum->InitialState(layout), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(StrategyTest, AnEmptyUpdateLeavesEveryStrategysModel) {
  for (const StrategyName name :
       {StrategyName::kFedAvg, StrategyName::kFedProx, StrategyName::kFedAvgM,
        StrategyName::kFedAdam, StrategyName::kFedYogi, StrategyName::kFedAdagrad}) {
    const auto strategy = MakeStrategy({.name = name});
    ASSERT_OK_AND_ASSIGN(StrategyState state, strategy->InitialState(TwoTensors()));
    std::vector<float> model = {3.0f, -4.0f};

    strategy->Apply(model, std::vector<float>{0.0f, 0.0f}, state);

    EXPECT_THAT(model, ElementsAre(3.0f, -4.0f));
  }
}

}  // namespace
}  // namespace skerry
