#include "common/ml/model.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/tensor/safetensors.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

ModelConfig BuiltIn(ModelName name) {
  ModelConfig model;
  model.name = name;
  return model;
}

TEST(ModelTest, BuiltInModelsHaveTheirPublishedNumberOfParameters) {
  const std::vector<std::pair<ModelName, size_t>> expected = {
      {ModelName::kMlp, 199'210}, {ModelName::kCnn, 1'663'370}, {ModelName::kCnnSmall, 26'010}};
  for (const auto& [name, count] : expected) {
    ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr layout, LayoutOf(BuiltIn(name)));
    EXPECT_EQ(layout->element_count(), count);
  }
}

TEST(ModelTest, InitialParametersDependOnTheSeedAlone) {
  ASSERT_OK_AND_ASSIGN(const SharedModel first, InitialModel(BuiltIn(ModelName::kMlp), 1));
  ASSERT_OK_AND_ASSIGN(const SharedModel again, InitialModel(BuiltIn(ModelName::kMlp), 1));
  ASSERT_OK_AND_ASSIGN(const SharedModel other, InitialModel(BuiltIn(ModelName::kMlp), 2));

  EXPECT_TRUE(std::ranges::equal(first->values(), again->values()));
  EXPECT_FALSE(std::ranges::equal(first->values(), other->values()));
}

// Uniform within +-b has variance b^2 / 3.
TEST(ModelTest, LinearAndConv2dAreUniformWithinTheirBound) {
  ASSERT_OK_AND_ASSIGN(const SharedModel model, InitialModel(BuiltIn(ModelName::kCnn), 1));
  const std::vector<std::pair<std::string, double>> fan_in = {
      {"layers.0.weight", 25}, {"layers.0.bias", 25},     {"layers.3.weight", 800},
      {"layers.3.bias", 800},  {"layers.7.weight", 3136}, {"layers.7.bias", 3136},
      {"layers.9.weight", 512}};

  for (size_t i = 0; i < fan_in.size(); ++i) {
    ASSERT_EQ(model->layout()->tensors()[i].name, fan_in[i].first);
    const double bound = 1 / std::sqrt(fan_in[i].second);
    const auto values = model->tensor(i);
    double sum_of_squares = 0;
    for (const double value : values) {
      EXPECT_LE(std::abs(value), bound);
      sum_of_squares += value * value;
    }
    const auto count = static_cast<double>(values.size());
    // The square of a uniform variable deviates by 2 b^2 / (3 sqrt(5)); five deviations.
    EXPECT_NEAR(sum_of_squares / count, bound * bound / 3,
                5 * bound * bound * 2 / (3 * std::sqrt(5.0) * std::sqrt(count)));
  }
}

TEST(ModelTest, NormsStartAsIdentityAndEmbeddingsNormal) {
  ModelConfig model;
  model.name = ModelName::kLayers;
  model.input = {7};
  model.layers = {{.kind = LayerKind::kEmbedding, .count = 1000, .dimension = 8},
                  {.kind = LayerKind::kLayerNorm}};

  ASSERT_OK_AND_ASSIGN(const SharedModel initial, InitialModel(model, 1));

  double sum_of_squares = 0;
  for (const double value : initial->tensor(0)) sum_of_squares += value * value;
  EXPECT_NEAR(sum_of_squares / 8000, 1.0, 5 * std::sqrt(2.0 / 8000));
  EXPECT_THAT(initial->tensor(1), Each(1.0f));
  EXPECT_THAT(initial->tensor(2), Each(0.0f));
}

TEST(ModelTest, InitialFileIsTakenAndCheckedAgainstTheModel) {
  const TemporaryDirectory folder;
  ModelConfig config = BuiltIn(ModelName::kCnnSmall);
  config.initial = folder / "start.safetensors";
  ASSERT_OK_AND_ASSIGN(const SharedModel drawn, InitialModel(BuiltIn(ModelName::kCnnSmall), 9));
  ASSERT_OK(WriteSafetensors(*config.initial, *drawn));

  ASSERT_OK_AND_ASSIGN(const SharedModel read, InitialModel(config, 1));

  EXPECT_TRUE(std::ranges::equal(read->values(), drawn->values()));
  config.name = ModelName::kMlp;
  EXPECT_THAT(InitialModel(config, 1),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(*config.initial), HasSubstr("layers.1.weight is missing"))));
}

TEST(ModelTest, InitialFileWithNanIsRefused) {
  const TemporaryDirectory folder;
  ModelConfig config = BuiltIn(ModelName::kMlp);
  config.initial = folder / "start.safetensors";
  ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr layout, LayoutOf(config));
  ParameterVector broken(layout);
  broken.values()[7] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_OK(WriteSafetensors(*config.initial, broken));

  EXPECT_THAT(InitialModel(config, 1),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("not a finite number")));
}

TEST(ModelTest, LayersThatDoNotFitAreAnError) {
  ModelConfig model;
  model.name = ModelName::kLayers;
  model.input = {4};
  model.layers = {{.kind = LayerKind::kConv2d, .out = 2, .kernel = 3}};

  EXPECT_THAT(LayoutOf(model), StatusIs(StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace skerry
