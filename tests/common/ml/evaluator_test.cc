#include "common/ml/evaluator.h"

#include <cmath>

#include "common/ml/model.h"
#include "tests/common/ml/small_data.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

LayerConfig Linear(int64_t out) { return {.kind = LayerKind::kLinear, .out = out}; }

// A linear model, whose outputs the tests compute by hand in double.
struct Fixture {
  Fixture(int64_t output_count, LossName loss, size_t row_count)
      : job(LayersJob({3}, {Linear(output_count)}, loss)),
        model(*InitialModel(job.model, 7)),
        dataset(RandomData(job, row_count)) {}

  double Output(uint32_t row, size_t index) const {
    float x[3];
    dataset->GatherExamples({&row, 1}, x);
    double sum = model->tensor(1)[index];
    for (size_t i = 0; i < 3; ++i) {
      sum += static_cast<double>(model->tensor(0)[index * 3 + i]) * x[i];
    }
    return sum;
  }

  JobConfig job;
  SharedModel model;
  SharedDataset dataset;
};

// More rows than a batch, and not a multiple of one.
constexpr size_t kRows = 613;

TEST(EvaluatorTest, CrossEntropyEqualsTheSumsByHand) {
  const Fixture fixture(4, LossName::kCrossEntropy, kRows);
  double loss_sum = 0;
  uint64_t correct = 0;
  double matrix[4][4] = {};
  for (uint32_t row = 0; row < kRows; ++row) {
    int64_t label = 0;
    fixture.dataset->GatherClasses({&row, 1}, &label);
    double exponentials = 0;
    size_t best = 0;
    for (size_t c = 0; c < 4; ++c) {
      exponentials += std::exp(fixture.Output(row, c));
      if (fixture.Output(row, c) > fixture.Output(row, best)) best = c;
    }
    loss_sum += std::log(exponentials) - fixture.Output(row, static_cast<size_t>(label));
    correct += best == static_cast<size_t>(label);
    ++matrix[best][label];
  }
  double f1_sum = 0;
  for (size_t c = 0; c < 4; ++c) {
    double wrong = 0;
    for (size_t other = 0; other < 4; ++other) {
      if (other != c) wrong += matrix[c][other] + matrix[other][c];
    }
    f1_sum += 2 * matrix[c][c] / (2 * matrix[c][c] + wrong);
  }

  ASSERT_OK_AND_ASSIGN(const EvaluationResult result,
                       Evaluate(fixture.job, {}, fixture.model, fixture.dataset));

  EXPECT_EQ(result.example_count, kRows);
  EXPECT_NEAR(result.loss, loss_sum / kRows, 1e-5);
  EXPECT_NEAR(result.loss_sum, loss_sum, 1e-5 * kRows);
  EXPECT_EQ(result.correct_count, correct);
  EXPECT_NEAR(*result.accuracy, static_cast<double>(correct) / kRows, 1e-12);
  EXPECT_NEAR(*result.f1, f1_sum / 4, 1e-12);
  EXPECT_FALSE(result.auc.has_value());
  EXPECT_FALSE(result.mae.has_value());
}

TEST(EvaluatorTest, BceEqualsTheSumsByHand) {
  const Fixture fixture(1, LossName::kBce, kRows);
  double loss_sum = 0;
  double true_positive = 0;
  double wrong = 0;
  double wins = 0;
  double pairs = 0;
  const auto label_of = [&](uint32_t row) {
    float label = 0;
    fixture.dataset->GatherTargets({&row, 1}, &label);
    return label == 1.0f;
  };
  for (uint32_t row = 0; row < kRows; ++row) {
    const double probability = 1 / (1 + std::exp(-fixture.Output(row, 0)));
    loss_sum -= std::log(label_of(row) ? probability : 1 - probability);
    const bool predicted = probability > 0.5;
    true_positive += predicted && label_of(row);
    wrong += predicted != label_of(row);
    for (uint32_t other = 0; label_of(row) && other < kRows; ++other) {
      if (label_of(other)) continue;
      ++pairs;
      wins += fixture.Output(row, 0) > fixture.Output(other, 0);
    }
  }

  ASSERT_OK_AND_ASSIGN(const EvaluationResult result,
                       Evaluate(fixture.job, {}, fixture.model, fixture.dataset));

  EXPECT_NEAR(result.loss, loss_sum / kRows, 1e-5);
  EXPECT_NEAR(*result.accuracy, 1 - wrong / kRows, 1e-12);
  EXPECT_NEAR(*result.f1, 2 * true_positive / (2 * true_positive + wrong), 1e-12);
  EXPECT_NEAR(*result.auc, wins / pairs, 1e-6);
  EXPECT_FALSE(result.mae.has_value());
}

TEST(EvaluatorTest, MseEqualsTheSumsByHand) {
  const Fixture fixture(2, LossName::kMse, kRows);
  double squares = 0;
  double absolutes = 0;
  for (uint32_t row = 0; row < kRows; ++row) {
    float targets[2];
    fixture.dataset->GatherTargets({&row, 1}, targets);
    for (size_t i = 0; i < 2; ++i) {
      const double error = fixture.Output(row, i) - targets[i];
      squares += error * error;
      absolutes += std::abs(error);
    }
  }

  ASSERT_OK_AND_ASSIGN(const EvaluationResult result,
                       Evaluate(fixture.job, {}, fixture.model, fixture.dataset));

  EXPECT_NEAR(result.loss, squares / (2 * kRows), 1e-5);
  EXPECT_NEAR(*result.mae, absolutes / (2 * kRows), 1e-5);
  EXPECT_FALSE(result.accuracy.has_value());
  EXPECT_EQ(result.correct_count, 0u);
}

TEST(EvaluatorTest, OnlyTheGivenRowsCountAndSumsAddUp) {
  const Fixture fixture(4, LossName::kCrossEntropy, 20);
  const std::vector<uint32_t> first = {0, 1, 2, 3, 4};
  std::vector<uint32_t> rest;
  for (uint32_t row = 5; row < 20; ++row) rest.push_back(row);
  const auto evaluate = [&](std::span<const uint32_t> rows) {
    return *Evaluate(fixture.job, {},
                     EvaluationTask{.model = fixture.model,
                                    .dataset = fixture.dataset,
                                    .rows = rows,
                                    .is_cancelled = nullptr});
  };
  ASSERT_OK_AND_ASSIGN(const EvaluationResult all,
                       Evaluate(fixture.job, {}, fixture.model, fixture.dataset));

  const EvaluationResult a = evaluate(first);
  const EvaluationResult b = evaluate(rest);

  EXPECT_EQ(a.example_count, 5u);
  EXPECT_EQ(a.correct_count + b.correct_count, all.correct_count);
  EXPECT_NEAR(a.loss_sum + b.loss_sum, all.loss_sum, 1e-4);
}

TEST(EvaluatorTest, CancelAndUnfitDataAreErrors) {
  const Fixture fixture(4, LossName::kCrossEntropy, 20);
  const std::vector<uint32_t> rows = {0};
  EvaluationTask task = {
      .model = fixture.model, .dataset = fixture.dataset, .rows = rows, .is_cancelled = [] {
        return true;
      }};
  EXPECT_THAT(Evaluate(fixture.job, {}, task), StatusIs(StatusCode::kCancelled));
  task.rows = {};
  EXPECT_THAT(Evaluate(fixture.job, {}, task),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no rows")));
  EXPECT_THAT(Evaluate(fixture.job, {}, fixture.model, RandomData(LayersJob({5}, {Linear(4)}), 3)),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("[5]")));
  EXPECT_THAT(Evaluate(fixture.job, {}, *InitialModel(LayersJob({5}, {Linear(4)}).model, 1),
                       fixture.dataset),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("tensors")));
}

}  // namespace
}  // namespace skerry
