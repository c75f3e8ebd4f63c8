// Noise, sampling and steps of Trainer when a job protects single records.
#include "common/ml/private_trainer.h"

#include <cmath>

#include "common/config/privacy_rules.h"
#include "tests/common/ml/private_node.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

// Steps of torch::optim along those sums, divided by the batch size; local - global.
std::vector<float> ReferenceDelta(const Node& node, int step_count) {
  torch::nn::Sequential module = ReferenceModule(node.job.model);
  LoadReference(module, node.global->values());
  const auto optimizer = ReferenceOptimizer(node.job.training.optimizer, module);
  for (int step = 0; step < step_count; ++step) {
    const std::vector<double> sum = ReferenceSum(node, module);
    size_t next = 0;
    for (const at::Tensor& parameter : module->parameters()) {
      const at::Tensor gradient = at::empty(parameter.sizes());
      for (int64_t i = 0; i < gradient.numel(); ++i) {
        gradient.data_ptr<float>()[i] =
            static_cast<float>(sum[next++] / static_cast<double>(node.job.training.batch_size));
      }
      parameter.mutable_grad() = gradient;
    }
    optimizer->step();
  }
  std::vector<float> delta = ReferenceValues(module);
  for (size_t i = 0; i < delta.size(); ++i) delta[i] -= node.global->values()[i];
  return delta;
}

JobConfig AgentJob() {
  JobConfig job = WithPrivacy(SmallConvolution(), Mechanism::kAgent, kClipNorm);
  job.training.local_epochs = 4;  // and as many steps, because all rows are in each
  return job;
}

// Float32 in another grouping, over four steps from weights of about 0.3.
constexpr float kTolerance = 5e-6f;

void ExpectReference(const JobConfig& job, float tolerance = kTolerance) {
  const Node node(job);

  ASSERT_OK_AND_ASSIGN(const TrainResult result, node.Train());

  EXPECT_THAT(result.delta, Pointwise(FloatNear(tolerance), ReferenceDelta(node, 4)));
  EXPECT_GT(NormOf(result.delta), 0.1);
  EXPECT_EQ(result.example_count, 0u);
  EXPECT_EQ(result.train_loss, 0.0);
}

TEST(PrivateTrainerTest, HardlyAnyNoiseLeavesClippedGradientDescent) {
  ExpectReference(AgentJob());
}

TEST(PrivateTrainerTest, MomentumAndDecayAreTheJobs) {
  JobConfig job = AgentJob();
  job.training.optimizer.momentum = 0.9;
  job.training.optimizer.weight_decay = 0.01;
  ExpectReference(job, 2e-5f);
}

// Adam divides by the root of the second moment: where a gradient is next to nothing its rounding
// errors are blown up to the size of a step.
TEST(PrivateTrainerTest, AdamAndAdamWAreTheJobs) {
  JobConfig job = AgentJob();
  job.training.optimizer.learning_rate = 0.01;
  job.training.optimizer.weight_decay = 0.1;
  for (const OptimizerName name : {OptimizerName::kAdam, OptimizerName::kAdamW}) {
    job.training.optimizer.name = name;
    ExpectReference(job, 2e-4f);
  }
}

// Four steps of rate 0.1 along noise of z C / B = 0.01 x 2.5 / 8 add up to 6.3e-4; six of these
// deviations, and as much again for where the other steps begin.
TEST(PrivateTrainerTest, SmallNoiseStaysNearClippedGradientDescent) {
  JobConfig job = AgentJob();
  job.privacy.noise_multiplier = 0.01;
  ExpectReference(job, 7.5e-3f);
}

// Steps of rate 1 along the noise, divided by the public batch size of 8 and not by the rows.
void ExpectNoise(const Node& node, const std::vector<double>& sum, int step_count = 1) {
  const size_t count = node.global->size();
  const PrivacyConfig& privacy = node.job.privacy;
  const double grid_step = std::ldexp(1.0, -22);  // 3 (0.5 2^22 + 162) is below 2^24
  const double deviation = std::sqrt(step_count) * *privacy.noise_multiplier *
                           (privacy.clip_norm + grid_step * std::sqrt(static_cast<double>(count)));
  SeededRandom random(11);

  ASSERT_OK_AND_ASSIGN(const TrainResult result, node.Train(random));

  double square = 0;
  double total = 0;
  for (size_t i = 0; i < count; ++i) {
    const double noise = (-8.0 * static_cast<double>(result.delta[i]) - sum[i]) / deviation;
    square += noise * noise;
    total += noise;
  }
  const auto freedom = static_cast<double>(count);
  EXPECT_NEAR(square, freedom, 5 * std::sqrt(2 * freedom));  // chi-squared, nearly normal
  EXPECT_NEAR(total, 0, 5 * std::sqrt(freedom));
}

JobConfig NoisyJob() {
  JobConfig job =
      WithPrivacy(LayersJob({100}, {Linear(200), {.kind = LayerKind::kTanh}, Linear(30)}),
                  Mechanism::kAgent, 0.5);
  job.training.optimizer.learning_rate = 1.0;
  job.privacy.noise_multiplier = 3.0;
  return job;
}

TEST(PrivateTrainerTest, NoiseOfAStepIsTheMultiplierTimesTheClipNormOverTheBatchSize) {
  const Node node(NoisyJob());
  torch::nn::Sequential module = ReferenceModule(node.job.model);
  LoadReference(module, node.global->values());

  ExpectNoise(node, ReferenceSum(node, module));
}

TEST(PrivateTrainerTest, NodeWithoutRowsMakesAStepOfNoiseAlone) {
  Node node(NoisyJob());
  node.rows.clear();

  ExpectNoise(node, std::vector<double>(node.global->size()));
}

// One row that takes part in one of twenty steps, beside whose noise it is nothing.
TEST(PrivateTrainerTest, EveryEmptySampleMakesAStepOfNoiseAlone) {
  Node node(NoisyJob(), 1);
  node.job.privacy.sampling.rate = 0.05;

  ExpectNoise(node, std::vector<double>(node.global->size()), 20);
}

TEST(PrivateTrainerTest, ARoundHasTheStepsThatAreAccountedFor) {
  JobConfig job = AgentJob();
  job.training.local_epochs = 2;
  job.privacy.sampling.rate = 0.25;
  std::vector<int> seen;
  TrainObserver observer;
  observer.progress = [&](int permille) { seen.push_back(permille); };
  SeededRandom random(1);

  ASSERT_OK(Node(job).Train(random, 5, observer));

  EXPECT_EQ(StepsPerRound(job), 8);
  EXPECT_THAT(seen, ElementsAre(125, 250, 375, 500, 625, 750, 875, 1000));
}

TEST(PrivateTrainerTest, CancelStopsBeforeTheNextStepAndLeavesTheTrainerUsable) {
  for (const Mechanism mechanism : {Mechanism::kAgent, Mechanism::kDistributed}) {
    JobConfig job = AgentJob();
    job = WithPrivacy(job, mechanism, kClipNorm);
    job.training.optimizer.momentum = 0.9;  // which must not be left over
    const Node node(job);
    SeededRandom random(1);
    ASSERT_OK_AND_ASSIGN(const TrainResult expected, node.Train(random));
    ASSERT_OK_AND_ASSIGN(const auto trainer, Trainer::Create(job, {}));
    SeededRandom other(2);
    SeededRandom same(1);
    TrainTask task{.global = node.global, .dataset = node.dataset, .rows = node.rows};
    TrainObserver observer;
    int asked = 0;
    const int limit = mechanism == Mechanism::kAgent ? 3 : 1;
    observer.is_cancelled = [&] { return ++asked == limit; };

    task.random = &other;
    EXPECT_THAT(trainer->Train(task, observer), StatusIs(StatusCode::kCancelled));

    task.random = &same;
    ASSERT_OK_AND_ASSIGN(const TrainResult after, trainer->Train(task));
    EXPECT_EQ(after.delta, expected.delta);
  }
}

// Each row has a weight of its own and a gradient beyond the clip norm: what a weight has moved by
// counts how often its row took part.
Node CountingNode(Mechanism mechanism, size_t row_count) {
  const auto size = static_cast<int64_t>(row_count);
  JobConfig job =
      WithPrivacy(LayersJob({size}, {{.kind = LayerKind::kLinear, .out = 1, .has_bias = false}},
                            LossName::kMse),
                  mechanism, 1.0);
  job.training.batch_size = 1;
  job.training.optimizer.learning_rate = 1.0;
  Node node(job, row_count);
  std::vector<float> features(row_count * row_count);
  for (size_t i = 0; i < row_count; ++i) features[i * row_count + i] = 1.0f;
  node.dataset = std::make_shared<const Dataset>(
      Dataset::Contents{.example_shape = {size},
                        .features = std::move(features),
                        .classes = {},
                        .targets = std::vector<float>(row_count, 1000.0f),
                        .target_size = 1});
  return node;
}

TEST(PrivateTrainerTest, EveryRowTakesPartAtTheRateAndTheSamplesVaryInSize) {
  constexpr size_t kRows = 64;
  constexpr double kRate = 0.3;
  constexpr int kRounds = 400;
  for (const Mechanism mechanism : {Mechanism::kAgent, Mechanism::kDistributed}) {
    Node node = CountingNode(mechanism, kRows);
    node.job.privacy.sampling.rate = kRate;
    const int steps = mechanism == Mechanism::kAgent ? 3 : 1;
    ASSERT_EQ(StepsPerRound(node.job), steps);
    std::vector<double> counts(kRows);
    double square = 0;
    SeededRandom random(5);

    for (int round = 0; round < kRounds; ++round) {
      ASSERT_OK_AND_ASSIGN(const TrainResult result, node.Train(random));
      double size = 0;
      for (size_t i = 0; i < kRows; ++i) {
        const double value = mechanism == Mechanism::kAgent ? static_cast<double>(result.delta[i])
                                                            : result.gradient_sum[i];
        const double count = std::round(value);
        ASSERT_NEAR(value, count, 1e-3);
        counts[i] += count;
        size += count;
      }
      square += (size - steps * kRate * kRows) * (size - steps * kRate * kRows);
    }

    const double variance = kRate * (1 - kRate) * steps;  // of one row in one round
    double statistic = 0;
    for (const double count : counts) {
      const double deviation = count - kRate * steps * kRounds;
      statistic += deviation * deviation / (variance * kRounds);
    }
    EXPECT_NEAR(statistic, kRows, 5 * std::sqrt(2.0 * kRows));
    // A batch of a fixed size would have none.
    EXPECT_NEAR(square / kRounds / (variance * kRows), 1.0, 5 * std::sqrt(2.0 / kRounds));
  }
}

JobConfig DropoutJob(Mechanism mechanism) {
  JobConfig job = SmallConvolution();
  job.model.layers.insert(job.model.layers.begin() + 3, {.kind = LayerKind::kDropout, .rate = 0.3});
  job = WithPrivacy(job, mechanism, 0.5);
  // Without noise and with all rows it is the masks alone that differ.
  job.privacy.sampling.rate = mechanism == Mechanism::kAgent ? 0.5 : 1.0;
  job.privacy.noise_multiplier = 1.0;
  return job;
}

// The coordinator knows the seed. A mask that follows from it would move with the rows in front.
TEST(PrivateTrainerTest, SamplesMasksAndNoiseComeFromTheTasksRandomBitsAndNotFromItsSeed) {
  for (const Mechanism mechanism : {Mechanism::kAgent, Mechanism::kDistributed}) {
    const Node node(DropoutJob(mechanism));
    SeededRandom one(1);
    SeededRandom same(1);
    SeededRandom other(2);

    ASSERT_OK_AND_ASSIGN(const TrainResult first, node.Train(one, 5));
    ASSERT_OK_AND_ASSIGN(const TrainResult second, node.Train(same, 6));
    ASSERT_OK_AND_ASSIGN(const TrainResult third, node.Train(other, 5));

    EXPECT_EQ(first.delta, second.delta);
    EXPECT_EQ(first.gradient_sum, second.gradient_sum);
    EXPECT_TRUE(first.delta != third.delta || first.gradient_sum != third.gradient_sum);
  }
}

TEST(PrivateTrainerTest, TwoTrainingsWithTheSystemsRandomBitsDiffer) {
  for (const Mechanism mechanism : {Mechanism::kAgent, Mechanism::kDistributed}) {
    const Node node(DropoutJob(mechanism));
    ASSERT_OK_AND_ASSIGN(const TrainResult first, node.Train(SystemRandom()));
    ASSERT_OK_AND_ASSIGN(const TrainResult second, node.Train(SystemRandom()));

    EXPECT_TRUE(first.delta != second.delta || first.gradient_sum != second.gradient_sum);
  }
}

TEST(PrivateTrainerTest, NoiseThatIsUnknownOrImpossibleIsRefused) {
  JobConfig unknown = AgentJob();
  unknown.privacy.noise_multiplier.reset();
  EXPECT_THAT(Trainer::Create(unknown, {}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("noise_multiplier is missing")));
  JobConfig tiny = AgentJob();
  tiny.privacy.clip_norm = 1e-6;
  EXPECT_THAT(Trainer::Create(tiny, {}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("raise privacy.clip_norm")));
  JobConfig rate = AgentJob();
  rate.privacy.sampling.rate = 0.0;
  EXPECT_THAT(Trainer::Create(rate, {}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("sampling rate")));
}

TEST(PrivateTrainerTest, TaskWithoutRandomBitsIsOurMistake) {
  const Node node(AgentJob());
  ASSERT_OK_AND_ASSIGN(const auto trainer, Trainer::Create(node.job, {}));

  GTEST_FLAG_SET(death_test_style, "threadsafe");  // LibTorch may have started threads
  EXPECT_DEATH(
      (void)trainer->Train({.global = node.global, .dataset = node.dataset, .rows = node.rows}),
      "assertion failed");
}

}  // namespace
}  // namespace skerry
