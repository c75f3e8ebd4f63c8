#include "common/ml/fixed_features.h"

#include <algorithm>

#include "common/ml/evaluator.h"
#include "common/ml/model.h"
#include "common/ml/network.h"
#include "common/ml/trainer.h"
#include "tests/common/ml/small_data.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

class FixedFeaturesTest : public testing::Test {
 protected:
  static std::vector<float> Row(const Dataset& dataset, uint32_t row) {
    std::vector<float> values(dataset.example_size());
    dataset.GatherExamples(std::vector<uint32_t>{row}, values.data());
    return values;
  }

  JobConfig job_ =
      LayersJob({1, 9, 8}, {{.kind = LayerKind::kScattering, .scales = 1, .angles = 3},
                            {.kind = LayerKind::kGroupNorm, .groups = 2, .has_affine = false},
                            {.kind = LayerKind::kFlatten},
                            {.kind = LayerKind::kLinear, .out = 3}});
  SharedDataset images_ = RandomData(job_, 150);  // more than are computed at once
};

TEST_F(FixedFeaturesTest, AreWhatTheLayersBeforeTheFirstWithParametersMake) {
  ASSERT_OK_AND_ASSIGN(const SharedDataset features, WithFixedFeatures(job_.model, images_));

  ASSERT_EQ(features->row_count(), 150u);
  EXPECT_EQ(features->example_shape(), std::vector<int64_t>{4 * 5 * 4});
  const std::vector<uint32_t> rows = AllRows(*images_);
  std::vector<int64_t> classes(150);
  std::vector<int64_t> expected_classes(150);
  features->GatherClasses(rows, classes.data());
  images_->GatherClasses(rows, expected_classes.data());
  EXPECT_EQ(classes, expected_classes);

  // Each group of two maps has mean 0 and variance 1, as group_norm leaves it.
  const std::vector<float> values = Row(*features, 149);
  double sum = 0.0;
  double squares = 0.0;
  for (size_t i = 0; i < 40; ++i) {
    sum += values[i];
    squares += values[i] * values[i];
  }
  EXPECT_NEAR(sum / 40, 0.0, 1e-5);
  EXPECT_NEAR(squares / 40, 1.0, 0.02);
}

// What privacy rests on: a record more or less changes no other record's features.
TEST_F(FixedFeaturesTest, OfARowDoNotDependOnOtherRows) {
  ASSERT_OK_AND_ASSIGN(const SharedDataset features, WithFixedFeatures(job_.model, images_));
  for (const uint32_t row : {0u, 63u, 64u, 149u}) {
    const auto alone =
        std::make_shared<const Dataset>(Dataset::Contents{.example_shape = images_->example_shape(),
                                                          .features = Row(*images_, row),
                                                          .classes = {0},
                                                          .targets = {}});
    ASSERT_OK_AND_ASSIGN(const SharedDataset feature, WithFixedFeatures(job_.model, alone));
    EXPECT_EQ(Row(*feature, 0), Row(*features, row)) << row;
  }
}

TEST_F(FixedFeaturesTest, AreTrainedOnAndEvaluatedLikeAnyRows) {
  job_.training.local_epochs = 200;
  job_.training.optimizer.learning_rate = 0.5;
  ASSERT_OK_AND_ASSIGN(const SharedDataset features, WithFixedFeatures(job_.model, images_));
  ASSERT_OK_AND_ASSIGN(const SharedModel start, InitialModel(job_.model, 1));
  ASSERT_OK_AND_ASSIGN(const auto trainer, Trainer::Create(job_, {}));
  const std::vector<uint32_t> rows = AllRows(*features);
  ASSERT_OK_AND_ASSIGN(const EvaluationResult before, Evaluate(job_, {}, start, features));

  ASSERT_OK_AND_ASSIGN(const TrainResult result,
                       trainer->Train({.global = start, .dataset = features, .rows = rows}));
  ParameterVector trained = *start;
  for (size_t i = 0; i < result.delta.size(); ++i) trained.values()[i] += result.delta[i];
  ASSERT_OK_AND_ASSIGN(
      const EvaluationResult after,
      Evaluate(job_, {}, std::make_shared<const ParameterVector>(trained), features));

  EXPECT_LT(after.loss,
            0.5 * before.loss);  // 150 random rows, 80 features: it learns them by heart
}

TEST_F(FixedFeaturesTest, OfAModelThatHasNoneAreTheRowsThemselves) {
  const JobConfig plain = LayersJob({5}, {{.kind = LayerKind::kLinear, .out = 2}});
  const SharedDataset rows = RandomData(plain, 3);
  ASSERT_OK_AND_ASSIGN(const SharedDataset features, WithFixedFeatures(plain.model, rows));
  EXPECT_EQ(features, rows);
}

TEST_F(FixedFeaturesTest, ImagesOfAnotherSizeAreRefused) {
  const JobConfig other = LayersJob({1, 8, 8}, {{.kind = LayerKind::kFlatten}});
  EXPECT_THAT(WithFixedFeatures(job_.model, RandomData(other, 2)).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[1, 9, 8]")));
  // And features are refused by a network that wants others.
  ASSERT_OK_AND_ASSIGN(const SharedModel start, InitialModel(job_.model, 1));
  EXPECT_THAT(Evaluate(job_, {}, start, images_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the model takes rows")));
}

}  // namespace
}  // namespace skerry
