#include "common/ml/trainer.h"

#include <cmath>
#include <thread>

#include <torch/torch.h>

#include "common/ml/batches.h"
#include "common/ml/model.h"
#include "tests/common/ml/small_data.h"
#include "tests/support/reference_model.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

LayerConfig Linear(int64_t out) { return {.kind = LayerKind::kLinear, .out = out}; }

// A job with dropout and enough layers for a wrong order of anything to show.
JobConfig SmallJob() {
  JobConfig job = LayersJob({1, 6, 6}, {{.kind = LayerKind::kConv2d, .out = 4, .kernel = 3},
                                        {.kind = LayerKind::kRelu},
                                        {.kind = LayerKind::kFlatten},
                                        Linear(16),
                                        {.kind = LayerKind::kTanh},
                                        Linear(3)});
  job.training.local_epochs = 2;
  return job;
}

struct Fixture {
  explicit Fixture(JobConfig config, size_t row_count = 27)
      : job(std::move(config)),
        global(*InitialModel(job.model, 7)),
        dataset(RandomData(job, row_count)),
        rows(AllRows(*dataset)) {}
  TrainTask Task(uint64_t seed = 5) const {
    return {.global = global, .dataset = dataset, .rows = rows, .seed = seed};
  }
  absl::StatusOr<TrainResult> Train(uint64_t seed = 5) const {
    auto trainer = Trainer::Create(job, {});
    if (!trainer.ok()) return trainer.status();
    return (*trainer)->Train(Task(seed));
  }

  JobConfig job;
  SharedModel global;
  SharedDataset dataset;
  std::vector<uint32_t> rows;
};

// The plainest loop over torch::nn and torch::optim; returns local - global.
std::vector<float> ReferenceDelta(const Fixture& fixture, uint64_t seed) {
  const TrainingConfig& training = fixture.job.training;
  torch::nn::Sequential module = ReferenceModule(fixture.job.model);
  LoadReference(module, fixture.global->values());
  const auto optimizer = ReferenceOptimizer(training.optimizer, module);
  const double mu =
      fixture.job.strategy.name == StrategyName::kFedProx ? fixture.job.strategy.mu : 0.0;
  std::vector<at::Tensor> anchors;
  for (const at::Tensor& parameter : module->parameters()) {
    anchors.push_back(parameter.detach().clone());
  }
  for (int64_t epoch = 0; epoch < training.local_epochs; ++epoch) {
    const auto order = EpochOrder(fixture.rows, seed, static_cast<uint64_t>(epoch));
    const auto batch_size = static_cast<size_t>(training.batch_size);
    for (size_t begin = 0; begin < order.size(); begin += batch_size) {
      const auto rows = std::span(order).subspan(begin, std::min(batch_size, order.size() - begin));
      std::vector<int64_t> sizes = {static_cast<int64_t>(rows.size())};
      sizes.insert(sizes.end(), fixture.job.model.input.begin(), fixture.job.model.input.end());
      at::Tensor examples = at::empty(sizes);
      fixture.dataset->GatherExamples(rows, examples.data_ptr<float>());
      at::Tensor labels;
      if (fixture.dataset->has_classes()) {
        labels = at::empty({sizes[0]}, at::kLong);
        fixture.dataset->GatherClasses(rows, labels.data_ptr<int64_t>());
      } else {
        labels = at::empty({sizes[0], static_cast<int64_t>(fixture.dataset->target_size())});
        fixture.dataset->GatherTargets(rows, labels.data_ptr<float>());
      }
      optimizer->zero_grad();
      ReferenceLoss(training.loss, module->forward(examples), labels).backward();
      const torch::NoGradGuard no_grad;
      const auto parameters = module->parameters();
      for (size_t i = 0; mu != 0.0 && i < parameters.size(); ++i) {
        parameters[i].grad().add_(parameters[i] - anchors[i], mu);
      }
      optimizer->step();
    }
  }
  std::vector<float> delta = ReferenceValues(module);
  for (size_t i = 0; i < delta.size(); ++i) delta[i] -= fixture.global->values()[i];
  return delta;
}

// Float32 in another grouping, over eight steps from weights of about 0.3.
constexpr float kTolerance = 2e-6f;

void ExpectReference(const JobConfig& job, float tolerance = kTolerance) {
  const Fixture fixture(job);

  ASSERT_OK_AND_ASSIGN(const TrainResult result, fixture.Train());

  EXPECT_THAT(result.delta,
              testing::Pointwise(testing::FloatNear(tolerance), ReferenceDelta(fixture, 5)));
  EXPECT_THAT(result.delta, testing::Contains(testing::Not(testing::FloatNear(0.0f, 1e-3f))));
}

TEST(TrainerTest, SgdEqualsTorchOptim) { ExpectReference(SmallJob()); }

TEST(TrainerTest, MomentumWithDecayEqualsTorchOptim) {
  JobConfig job = SmallJob();
  job.training.optimizer.momentum = 0.9;
  job.training.optimizer.weight_decay = 0.01;
  ExpectReference(job);
}

// Adam divides by the root of the second moment: where a gradient is next to nothing its rounding
// errors are blown up to the size of a step.
constexpr float kAdamTolerance = 2e-4f;

TEST(TrainerTest, AdamEqualsTorchOptim) {
  JobConfig job = SmallJob();
  job.training.optimizer.name = OptimizerName::kAdam;
  job.training.optimizer.learning_rate = 0.01;
  ExpectReference(job, kAdamTolerance);
}

TEST(TrainerTest, AdamWEqualsTorchOptim) {
  JobConfig job = SmallJob();
  job.training.optimizer.name = OptimizerName::kAdamW;
  job.training.optimizer.learning_rate = 0.01;
  job.training.optimizer.weight_decay = 0.1;
  ExpectReference(job, kAdamTolerance);
}

TEST(TrainerTest, ProximalTermEqualsTorchOptimWithAnAddedGradient) {
  JobConfig job = SmallJob();
  job.strategy.name = StrategyName::kFedProx;
  job.strategy.mu = 0.5;
  job.training.optimizer.momentum = 0.9;
  ExpectReference(job);
}

TEST(TrainerTest, MuCountsForFedProxAlone) {
  JobConfig job = SmallJob();
  ASSERT_OK_AND_ASSIGN(const TrainResult plain, Fixture(job).Train());
  job.strategy.mu = 0.5;

  ASSERT_OK_AND_ASSIGN(const TrainResult same, Fixture(job).Train());

  EXPECT_EQ(plain.delta, same.delta);
}

TEST(TrainerTest, BceEqualsTorchOptim) {
  ExpectReference(
      LayersJob({4}, {Linear(3), {.kind = LayerKind::kTanh}, Linear(1)}, LossName::kBce));
}

TEST(TrainerTest, MseWithTwoTargetsEqualsTorchOptim) {
  ExpectReference(
      LayersJob({4}, {Linear(3), {.kind = LayerKind::kTanh}, Linear(2)}, LossName::kMse));
}

// y = w x + b from zero with x = 2, y = 3, rate 0.1: loss 9, dw = 2 (0 - 3) 2 = -12, db = -6.
TEST(TrainerTest, OneStepOfALineIsTheOneByHand) {
  const JobConfig job = LayersJob({1}, {Linear(1)}, LossName::kMse);
  const auto global = std::make_shared<const ParameterVector>(*LayoutOf(job.model));
  const auto dataset =
      std::make_shared<const Dataset>(Dataset::Contents{.example_shape = {1},
                                                        .features = std::vector<float>{2.0f},
                                                        .classes = {},
                                                        .targets = {3.0f},
                                                        .target_size = 1});
  const std::vector<uint32_t> rows = {0};
  ASSERT_OK_AND_ASSIGN(const auto trainer, Trainer::Create(job, {}));

  ASSERT_OK_AND_ASSIGN(
      const TrainResult result,
      trainer->Train({.global = global, .dataset = dataset, .rows = rows, .seed = 1}));

  EXPECT_THAT(result.delta, ElementsAre(testing::FloatEq(1.2f), testing::FloatEq(0.6f)));
  EXPECT_NEAR(result.train_loss, 9.0, 1e-6);
  EXPECT_EQ(result.example_count, 1u);
}

JobConfig DropoutJob() {
  JobConfig job = SmallJob();
  job.model.layers.insert(job.model.layers.begin() + 3, {.kind = LayerKind::kDropout, .rate = 0.3});
  job.training.optimizer.momentum = 0.9;
  return job;
}

TEST(TrainerTest, ResultIsTheSameBitByBitWhateverWasTrainedBefore) {
  const Fixture fixture(DropoutJob());
  ASSERT_OK_AND_ASSIGN(const TrainResult alone, fixture.Train());
  ASSERT_OK_AND_ASSIGN(const auto trainer, Trainer::Create(fixture.job, {}));
  ASSERT_OK_AND_ASSIGN(const TrainResult other, trainer->Train(fixture.Task(6)));

  ASSERT_OK_AND_ASSIGN(const TrainResult after, trainer->Train(fixture.Task(5)));

  EXPECT_EQ(alone.delta, after.delta);
  EXPECT_EQ(alone.train_loss, after.train_loss);
  EXPECT_NE(alone.delta, other.delta);
}

TEST(TrainerTest, TwoTrainersAtOnceDoNotDisturbEachOther) {
  constexpr int kTasks = 6;
  const Fixture fixture(DropoutJob(), 200);
  std::vector<std::vector<float>> expected;
  for (uint64_t seed = 0; seed < kTasks; ++seed) {
    ASSERT_OK_AND_ASSIGN(const TrainResult result, fixture.Train(seed));
    expected.push_back(result.delta);
  }
  std::vector<std::vector<float>> got[2];
  const auto train_all = [&](size_t worker) {
    const auto trainer = Trainer::Create(fixture.job, {});
    for (uint64_t seed = 0; seed < kTasks; ++seed) {
      got[worker].push_back((*trainer)->Train(fixture.Task(seed))->delta);
    }
  };

  std::thread first(train_all, 0);
  std::thread second(train_all, 1);
  first.join();
  second.join();

  EXPECT_EQ(got[0], expected);
  EXPECT_EQ(got[1], expected);
}

TEST(TrainerTest, WithoutEpochsTheDeltaIsZero) {
  JobConfig job = SmallJob();
  job.training.local_epochs = 0;
  const Fixture fixture(job);

  ASSERT_OK_AND_ASSIGN(const TrainResult result, fixture.Train());

  EXPECT_EQ(result.delta.size(), fixture.global->size());
  EXPECT_THAT(result.delta, Each(0.0f));
  EXPECT_EQ(result.example_count, 27u);
}

TEST(TrainerTest, ProgressRisesToAThousandOnceForEachBatchAtMost) {
  const Fixture fixture(SmallJob());
  ASSERT_OK_AND_ASSIGN(const auto trainer, Trainer::Create(fixture.job, {}));
  std::vector<int> seen;
  TrainObserver observer;
  observer.progress = [&](int permille) { seen.push_back(permille); };

  ASSERT_OK(trainer->Train(fixture.Task(), observer));

  EXPECT_THAT(seen, ElementsAre(125, 250, 375, 500, 625, 750, 875, 1000));  // 2 x 4 batches
}

TEST(TrainerTest, CancelStopsBeforeTheNextBatchAndLeavesTheTrainerUsable) {
  const Fixture fixture(SmallJob());
  ASSERT_OK_AND_ASSIGN(const TrainResult expected, fixture.Train());
  ASSERT_OK_AND_ASSIGN(const auto trainer, Trainer::Create(fixture.job, {}));
  int batches = 0;
  TrainObserver observer;
  observer.progress = [&](int) { ++batches; };
  observer.is_cancelled = [&] { return batches == 3; };

  EXPECT_THAT(trainer->Train(fixture.Task(), observer), StatusIs(StatusCode::kCancelled));

  EXPECT_EQ(batches, 3);
  ASSERT_OK_AND_ASSIGN(const TrainResult after, trainer->Train(fixture.Task()));
  EXPECT_EQ(after.delta, expected.delta);
}

TEST(TrainerTest, DivergedTrainingIsAnError) {
  JobConfig job = LayersJob({4}, {Linear(8), Linear(2)}, LossName::kMse);
  job.training.optimizer.learning_rate = 1e6;
  job.training.local_epochs = 20;

  EXPECT_THAT(Fixture(job).Train(), StatusIs(StatusCode::kOutOfRange, HasSubstr("learning_rate")));
}

TEST(TrainerTest, WhatDoesNotFitTheJobIsRefused) {
  const Fixture fixture(SmallJob());
  ASSERT_OK_AND_ASSIGN(const auto trainer, Trainer::Create(fixture.job, {}));
  TrainTask no_rows = fixture.Task();
  no_rows.rows = {};
  TrainTask other_model = fixture.Task();
  other_model.global = *InitialModel(LayersJob({2}, {Linear(2)}).model, 1);
  TrainTask other_shape = fixture.Task();
  other_shape.dataset = RandomData(LayersJob({2}, {Linear(3)}), 27);
  TrainTask other_labels = fixture.Task();
  other_labels.dataset = RandomData(LayersJob({36}, {Linear(3)}, LossName::kMse), 27);

  for (const TrainTask& task : {no_rows, other_model, other_shape, other_labels}) {
    EXPECT_THAT(trainer->Train(task), StatusIs(StatusCode::kInvalidArgument));
  }
}

TEST(TrainerTest, LossThatCannotTakeTheModelsOutputIsRefused) {
  EXPECT_THAT(Trainer::Create(LayersJob({4}, {Linear(2)}, LossName::kBce), {}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("one output")));
  EXPECT_THAT(Trainer::Create(LayersJob({4, 4}, {Linear(2)}), {}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("one dimension")));
}

TEST(TrainerTest, RowNumberBeyondTheEmbeddingIsAnErrorNotACrash) {
  const JobConfig small =
      LayersJob({3}, {{.kind = LayerKind::kEmbedding, .count = 2, .dimension = 2},
                      {.kind = LayerKind::kFlatten},
                      Linear(2)});

  EXPECT_THAT(Fixture(small).Train(),  // rows hold numbers below 5
              StatusIs(StatusCode::kInternal, HasSubstr("training failed")));
}

TEST(TrainerTest, UnknownAndMissingDevicesAreRefused) {
  EXPECT_THAT(Trainer::Create(SmallJob(), {.device = "gpu"}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("cpu or cuda:N")));
  EXPECT_THAT(Trainer::Create(SmallJob(), {.device = "cuda:x"}),
              StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(Trainer::Create(SmallJob(), {.device = "cuda:4096"}),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("not available")));
}

}  // namespace
}  // namespace skerry
