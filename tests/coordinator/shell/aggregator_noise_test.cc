// The coordinator's noise: on the sum before anything is made of it, durable, and drawn once.
#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/privacy_rules.h"
#include "common/secagg/job_encoding.h"
#include "coordinator/shell/aggregator.h"
#include "coordinator/shell/clip_state.h"
#include "coordinator/shell/coordinator_noise.h"
#include "coordinator/store/checkpoint.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

constexpr int64_t kParameters = 10'000;
const std::vector<NodeId> kSurvivors = {NodeId("a"), NodeId("b"), NodeId("c")};

JobConfig ClientJob() {
  JobConfig job;
  job.round = {.count = 3, .nodes = 4};
  job.privacy = {.enabled = true,
                 .unit = PrivacyUnit::kClient,
                 .epsilon = 2.0,
                 .noise_multiplier = 3.0,
                 .placement = NoisePlacement::kCoordinator,
                 .clip_norm = 0.5,
                 .sampling = {.scheme = SamplingScheme::kFixed}};
  return job;
}

class AggregatorNoiseTest : public testing::Test {
 protected:
  AggregatorNoiseTest() {
    auto layout = ParameterLayout::Create({{.name = "w", .sizes = {kParameters}}});
    EXPECT_OK(layout.status());
    layout_ = *layout;
    auto encoding = EncodingOf(job_, kParameters);
    EXPECT_OK(encoding.status());
    encoding_ = *encoding;
  }

  Aggregator Make(uint64_t seed) {
    random_ = std::make_unique<SeededRandom>(seed);
    return Aggregator({.encoding = *encoding_,
                       .layout = layout_,
                       .strategy = MakeStrategy({}),
                       .run_dir = folder_ / "run",
                       .round_count = 3,
                       .noise =
                           [this](double clip_norm, uint32_t update_count) {
                             return CoordinatorNoise(job_, *encoding_, clip_norm, update_count);
                           },
                       .random = random_.get(),
                       .clip_norm = job_.privacy.clip_norm},
                      std::nullopt);
  }

  // Every parameter of the update is `value`.
  void AddUpdate(Aggregator& aggregator, float value) {
    std::vector<uint8_t> bytes(encoding_->layout().size() * sizeof(RingElement));
    const std::vector<float> delta(kParameters, value);
    SeededRandom rounding(5);
    ASSERT_OK(EncodeUpdate(*encoding_, {.delta = delta}, rounding.DrawSecret(16),
                           {reinterpret_cast<RingElement*>(bytes.data()), kParameters}));
    ASSERT_OK(aggregator.Add(Frame::Own(std::move(bytes))));
  }

  CommitWork Work() const {
    return {.round = RoundId(1),
            .attempt = AttemptId(1),
            .survivor_count = 3,
            .survivors = kSurvivors,
            .is_noise_due = true};
  }
  SharedModel Zero() const { return std::make_shared<ParameterVector>(layout_); }

  TemporaryDirectory folder_;
  JobConfig job_ = ClientJob();
  ParameterLayoutPtr layout_;
  std::optional<UpdateEncoding> encoding_;
  std::unique_ptr<SeededRandom> random_;
};

TEST_F(AggregatorNoiseTest, TheModelMovesByTheMeanPlusNoiseOfThePlannedSize) {
  Aggregator aggregator = Make(1);
  for (int node = 0; node < 3; ++node) AddUpdate(aggregator, 0.004f);

  ASSERT_OK(aggregator.AddNoise(Work()));
  const Aggregator::CommitResult result = aggregator.Commit(RoundId(1), 3, Zero());

  ASSERT_OK(result.done.status);
  double sum = 0;
  double squares = 0;
  for (const float value : result.model->values()) {
    sum += value;
    squares += double{value} * value;
  }
  const double mean = sum / kParameters;
  const double deviation = std::sqrt(squares / kParameters - mean * mean);
  // z C over the cohort of 4 is 0.375 for each coordinate; the standard error of a deviation from
  // 10,000 values is 0.7 % of it, and of a mean 1 %. Four of each.
  EXPECT_NEAR(deviation, 0.375, 0.375 * 0.03);
  EXPECT_NEAR(mean, 3 * 0.004 / 4, 0.375 * 0.04);
}

// z C for the fewest honest survivors is 3 * 0.5; each share is that over sqrt(2).
TEST_F(AggregatorNoiseTest, AModelOfASecretCohortDoesNotTellByItsNoiseHowManyThereWere) {
  job_.round.nodes = 16;
  job_.privacy.observer = PrivacyObserver::kPublic;
  job_.privacy.placement = NoisePlacement::kDistributed;
  job_.privacy.sampling = {.scheme = SamplingScheme::kPoisson, .rate = 0.25};
  job_.secagg = {.enabled = true, .colluders = 1, .min_survivors = 3};
  ASSERT_OK_AND_ASSIGN(encoding_, EncodingOf(job_, kParameters));
  const int64_t largest = SecretCohortBounds(job_).largest;
  ASSERT_EQ(largest, 10);  // 4 + 3 sqrt(3)
  // Over the cohort that is expected.
  const double expected = 3 * 0.5 / std::sqrt(2.0) * std::sqrt(10.0) / 4;
  ASSERT_OK_AND_ASSIGN(const UpdateNoise share,
                       UpdateNoise::Create(NoiseShare(job_, kParameters, encoding_->scale_bits())));
  for (const uint32_t survivors : {3u, 5u, 10u}) {
    Aggregator aggregator = Make(survivors);
    SeededRandom nodes(100 + survivors);
    for (uint32_t node = 0; node < survivors; ++node) {
      std::vector<uint8_t> bytes(kParameters * sizeof(RingElement));
      share.AddTo({reinterpret_cast<RingElement*>(bytes.data()), kParameters}, nodes);
      ASSERT_OK(aggregator.Add(Frame::Own(std::move(bytes))));
    }
    CommitWork work = Work();
    work.round = RoundId(survivors);
    work.survivor_count = survivors;

    ASSERT_OK(aggregator.AddNoise(work));
    const auto result = aggregator.Commit(work.round, survivors, Zero());

    ASSERT_OK(result.done.status);
    // Rounding puts 1 % of a clip norm on top; the standard error is 0.7 %.
    EXPECT_NEAR(result.done.update_norm / std::sqrt(double{kParameters}), expected, expected * 0.03)
        << survivors;
  }
}

TEST_F(AggregatorNoiseTest, ASkippedRoundIsACheckpointOfTheModelBefore) {
  ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr moments,
                       ParameterLayout::Create({{.name = "m/w", .sizes = {kParameters}}}));
  StrategyState state(moments);
  std::ranges::fill(state->values(), 0.5f);
  Aggregator aggregator({.encoding = *encoding_,
                         .layout = layout_,
                         .strategy = MakeStrategy({.name = StrategyName::kFedAvgM}),
                         .run_dir = folder_ / "run",
                         .checkpoint_every = 100,
                         .round_count = 100},
                        state);
  AddUpdate(aggregator, 0.004f);  // of a node of the round, before it was skipped
  auto model = std::make_shared<ParameterVector>(layout_);
  std::ranges::fill(model->values(), 0.25f);
  const std::string before = ModelSha256(*model);

  const Aggregator::CommitResult skipped = aggregator.Skip(RoundId(1), model);

  ASSERT_OK(skipped.done.status);
  EXPECT_EQ(skipped.done.model_sha256, before);
  EXPECT_EQ(ModelSha256(*skipped.model), before);
  EXPECT_EQ(skipped.done.update_norm, 0);
  ASSERT_TRUE(skipped.done.checkpoint.has_value());
  ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                       ReadCheckpoint(folder_ / "run", *skipped.done.checkpoint, layout_, moments));
  EXPECT_EQ(ModelSha256(loaded.model), before);
  EXPECT_EQ(loaded.state->values()[7], 0.5f);
}

TEST_F(AggregatorNoiseTest, AfterALossOfTheProcessTheFirstDrawIsWhatIsCommitted) {
  Aggregator killed = Make(1);
  AddUpdate(killed, 0.1f);
  ASSERT_OK(killed.AddNoise(Work()));
  Aggregator again = Make(2);

  ASSERT_OK_AND_ASSIGN(const auto survivors, again.RestoreNoisySum(RoundId(1), AttemptId(1)));

  EXPECT_EQ(survivors, kSurvivors);
  const std::string expected = killed.Commit(RoundId(1), 3, Zero()).done.model_sha256;
  EXPECT_EQ(again.Commit(RoundId(1), 3, Zero()).done.model_sha256, expected);
}

TEST_F(AggregatorNoiseTest, NoSumIsNoisedTwice) {
  Aggregator killed = Make(1);
  AddUpdate(killed, 0.1f);
  ASSERT_OK(killed.AddNoise(Work()));
  Aggregator again = Make(2);
  AddUpdate(again, 0.1f);

  EXPECT_THAT(again.AddNoise(Work()), StatusIs(absl::StatusCode::kAlreadyExists));

  CommitWork next = Work();
  next.attempt = AttemptId(2);
  EXPECT_OK(again.AddNoise(next));
}

TEST_F(AggregatorNoiseTest, AnAdaptiveClipFollowsTheBitsAndStandsInTheCheckpoint) {
  job_.privacy.adaptive_clip =
      AdaptiveClipConfig{.initial = 0.25, .bit_noise = 1e3};  // no more than z is needed of it
  ASSERT_OK_AND_ASSIGN(encoding_, EncodingOf(job_, kParameters));
  ASSERT_OK_AND_ASSIGN(const AdaptiveClip clip,
                       AdaptiveClip::Create(*job_.privacy.adaptive_clip, 0.01, 0.5));
  ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr state_layout, ClipStateLayout(nullptr));
  Aggregator aggregator({.encoding = *encoding_,
                         .layout = layout_,
                         .strategy = MakeStrategy({}),
                         .run_dir = folder_ / "run",
                         .checkpoint_every = 100,
                         .round_count = 100,
                         .adaptive_clip = clip,
                         .clip_state_layout = state_layout},
                        std::nullopt, 0.25f);
  for (int node = 0; node < 4; ++node) {
    std::vector<uint8_t> bytes(encoding_->layout().size() * sizeof(RingElement));
    const std::vector<float> delta(kParameters, 0.001f);
    SeededRandom rounding(5);
    ASSERT_OK(EncodeUpdate(*encoding_, {.delta = delta, .is_within_clip = node != 0},
                           rounding.DrawSecret(16),
                           {reinterpret_cast<RingElement*>(bytes.data()), kParameters + 1}));
    ASSERT_OK(aggregator.Add(Frame::Own(std::move(bytes))));
  }

  const Aggregator::CommitResult result = aggregator.Commit(RoundId(1), 4, Zero());

  ASSERT_OK(result.done.status);
  const float expected = clip.Next(0.25f, 0.75);
  EXPECT_EQ(result.done.clip_norm, expected);
  ASSERT_TRUE(result.done.checkpoint.has_value());
  ASSERT_OK_AND_ASSIGN(
      const LoadedCheckpoint loaded,
      ReadCheckpoint(folder_ / "run", *result.done.checkpoint, layout_, state_layout));
  EXPECT_EQ(SplitClipState(*loaded.state, nullptr).clip_norm, expected);
}

TEST_F(AggregatorNoiseTest, MomentsAndClipNormOfAStateComeApartAgain) {
  ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr moments,
                       ParameterLayout::Create({{.name = "m/w", .sizes = {3}}}));
  ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr layout, ClipStateLayout(moments));
  StrategyState state(moments);
  std::ranges::copy(std::vector<float>{1, 2, 3}, state->values().begin());

  const ClipState split = SplitClipState(JoinClipState(layout, state, 0.125f), moments);

  EXPECT_EQ(split.clip_norm, 0.125f);
  EXPECT_TRUE(std::ranges::equal(split.strategy->values(), state->values()));
}

TEST_F(AggregatorNoiseTest, WithoutAStoredSumNothingIsRestored) {
  Aggregator aggregator = Make(1);

  ASSERT_OK_AND_ASSIGN(const auto survivors, aggregator.RestoreNoisySum(RoundId(1), AttemptId(1)));

  EXPECT_FALSE(survivors.has_value());
}

}  // namespace
}  // namespace skerry
