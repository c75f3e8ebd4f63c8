#include "common/config/model_shapes.h"

#include <numeric>

#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ModelConfig Layers(std::vector<int64_t> input, std::vector<LayerConfig> layers) {
  for (size_t i = 0; i < layers.size(); ++i) layers[i].line = static_cast<int>(i) + 10;
  return {.name = ModelName::kLayers,
          .layers = std::move(layers),
          .input = std::move(input),
          .initial = std::nullopt};
}

TEST(ModelShapesTest, BuiltInModelsHaveTheirPublishedParameterCounts) {
  const std::vector<std::pair<ModelName, int64_t>> counts = {
      {ModelName::kMlp, 199'210},      // McMahan et al. 2017
      {ModelName::kCnn, 1'663'370},    // McMahan et al. 2017
      {ModelName::kCnnSmall, 26'010},  // Papernot et al. 2021
      // and weight and bias of two norms of 16 and 32 channels
      {ModelName::kCnnSmallGn, 26'010 + 2 * (16 + 32)},
  };
  for (const auto& [name, count] : counts) {
    ASSERT_OK_AND_ASSIGN(const ModelShapes shapes, InferShapes(ModelConfig{.name = name}));

    EXPECT_EQ(shapes.parameter_count, count);
    EXPECT_THAT(shapes.input, ElementsAre(1, 28, 28));
    EXPECT_THAT(shapes.output, ElementsAre(10));
  }
}

TEST(ModelShapesTest, CnnSmallHasTheShapesOfThePaper) {
  ASSERT_OK_AND_ASSIGN(const ModelShapes shapes,
                       InferShapes(ModelConfig{.name = ModelName::kCnnSmall}));

  std::vector<std::vector<int64_t>> outputs;
  for (const LayerShapes& layer : shapes.layers) outputs.push_back(layer.output);
  EXPECT_THAT(outputs,
              ElementsAre(ElementsAre(16, 14, 14), ElementsAre(16, 14, 14), ElementsAre(16, 13, 13),
                          ElementsAre(32, 5, 5), ElementsAre(32, 5, 5), ElementsAre(32, 4, 4),
                          ElementsAre(512), ElementsAre(32), ElementsAre(32), ElementsAre(10)));
}

TEST(ModelShapesTest, ParametersAreNamedByPositionWeightBeforeBias) {
  ASSERT_OK_AND_ASSIGN(
      const ModelShapes shapes,
      InferShapes(
          Layers({3, 8, 6}, {{.kind = LayerKind::kConv2d, .out = 4, .kernel = 3, .padding = 1},
                             {.kind = LayerKind::kGroupNorm, .groups = 2},
                             {.kind = LayerKind::kRelu},
                             {.kind = LayerKind::kAvgPool, .kernel = 2, .stride = 2},
                             {.kind = LayerKind::kFlatten},
                             {.kind = LayerKind::kLayerNorm},
                             {.kind = LayerKind::kLinear, .out = 5, .has_bias = false}})));

  const std::vector<ParameterShape> expected = {
      {"layers.0.weight", {4, 3, 3, 3}}, {"layers.0.bias", {4}},
      {"layers.1.weight", {4}},          {"layers.1.bias", {4}},
      {"layers.5.weight", {48}},         {"layers.5.bias", {48}},
      {"layers.6.weight", {5, 48}},
  };
  EXPECT_EQ(shapes.parameters, expected);
  EXPECT_EQ(shapes.parameter_count, 108 + 4 + 4 + 4 + 48 + 48 + 240);
  EXPECT_THAT(shapes.layers[3].input, ElementsAre(4, 8, 6));
  EXPECT_THAT(shapes.layers[3].output, ElementsAre(4, 4, 3));
}

TEST(ModelShapesTest, EmbeddingMakesASequenceThatLinearAndLayerNormTake) {
  ASSERT_OK_AND_ASSIGN(
      const ModelShapes shapes,
      InferShapes(Layers({7}, {{.kind = LayerKind::kEmbedding, .count = 100, .dimension = 16},
                               {.kind = LayerKind::kLayerNorm},
                               {.kind = LayerKind::kLinear, .out = 8}})));

  EXPECT_THAT(shapes.output, ElementsAre(7, 8));
  EXPECT_EQ(shapes.parameter_count, 100 * 16 + 2 * 16 + 8 * 16 + 8);
}

// The output size of a window against sliding it by hand.
TEST(ModelShapesTest, WindowCountsMatchSlidingTheWindow) {
  for (int64_t side = 1; side <= 9; ++side) {
    for (int64_t kernel = 1; kernel <= 5; ++kernel) {
      for (int64_t stride = 1; stride <= 4; ++stride) {
        for (int64_t padding = 0; padding <= 2; ++padding) {
          int64_t positions = 0;
          for (int64_t at = -padding; at + kernel <= side + padding; at += stride) ++positions;
          const auto shapes = InferShapes(Layers({1, side, side}, {{.kind = LayerKind::kConv2d,
                                                                    .out = 1,
                                                                    .kernel = kernel,
                                                                    .stride = stride,
                                                                    .padding = padding}}));
          ASSERT_EQ(shapes.ok(), positions > 0);
          if (shapes.ok()) {
            EXPECT_THAT(shapes->output, ElementsAre(1, positions, positions));
          }
        }
      }
    }
  }
}

TEST(ModelShapesTest, LayersThatDoNotFitAreNamedWithTheirLine) {
  struct Case {
    std::vector<int64_t> input;
    LayerConfig layer;
    std::string error;
  };
  const std::vector<Case> cases = {
      {{1, 4, 4}, {.kind = LayerKind::kLinear, .out = 3}, "put flatten before it"},
      {{16}, {.kind = LayerKind::kConv2d, .out = 1, .kernel = 1}, "takes channels, height and"},
      {{1, 4, 4}, {.kind = LayerKind::kConv2d, .out = 1, .kernel = 5}, "kernel 5, larger than"},
      {{1, 4, 4}, {.kind = LayerKind::kMaxPool, .kernel = 5}, "kernel 5, larger than"},
      {{1, 4, 4}, {.kind = LayerKind::kAvgPool, .kernel = 3, .padding = 2}, "at most half"},
      {{6, 4, 4}, {.kind = LayerKind::kGroupNorm, .groups = 4}, "do not divide 6 channels"},
      {{6, 4}, {.kind = LayerKind::kGroupNorm, .groups = 3}, "takes channels"},
      {{1, 4, 4}, {.kind = LayerKind::kLayerNorm}, "use group_norm for images"},
      {{4, 4}, {.kind = LayerKind::kEmbedding, .count = 9, .dimension = 2}, "one dimension of row"},
      {{4}, {.kind = LayerKind::kLinear, .out = 0}, "missing or out of range"},
      {{1, 4, 4}, {.kind = LayerKind::kMaxPool, .kernel = 2, .stride = 0}, "missing or out of"},
      {{4}, {.kind = LayerKind::kGroupNorm, .groups = 0}, "missing or out of range"},
      {{16}, {.kind = LayerKind::kScattering}, "takes channels, height and width"},
      {{1, 3, 9}, {.kind = LayerKind::kScattering}, "images of at least 4 by 4"},
      {{9, 9, 9}, {.kind = LayerKind::kScattering, .scales = 31}, "missing or out of range"},
      {{90'000, 32, 32},
       {.kind = LayerKind::kScattering, .scales = 5, .angles = 100},
       "makes more than"},
  };
  for (const Case& test : cases) {
    EXPECT_THAT(
        InferShapes(Layers(test.input, {test.layer})),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 testing::AllOf(HasSubstr("model:10: model.layers[0]."), HasSubstr(test.error))));
  }
}

TEST(ModelShapesTest, ScatteringHasTheMapsOfTheLiterature) {
  ASSERT_OK_AND_ASSIGN(
      const ModelShapes shapes,
      InferShapes(Layers({1, 28, 28},
                         {{.kind = LayerKind::kScattering},
                          {.kind = LayerKind::kGroupNorm, .groups = 27, .has_affine = false}})));
  EXPECT_THAT(shapes.output, ElementsAre(81, 7, 7));  // Tramer and Boneh 2021, for MNIST
  EXPECT_EQ(shapes.parameter_count, 0);

  ASSERT_OK_AND_ASSIGN(
      const ModelShapes colour,
      InferShapes(
          Layers({3, 33, 30}, {{.kind = LayerKind::kScattering, .scales = 3, .angles = 4}})));
  EXPECT_THAT(colour.output, ElementsAre(3 * (1 + 3 * 4 + 3 * 16), 5, 4));
}

TEST(ModelShapesTest, ScatteringStandsFirst) {
  EXPECT_THAT(InferShapes(Layers({1, 8, 8},
                                 {{.kind = LayerKind::kRelu}, {.kind = LayerKind::kScattering}})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("model:11: model.layers[1].scattering must be the first layer")));
}

TEST(ModelShapesTest, EmbeddingStandsFirst) {
  EXPECT_THAT(
      InferShapes(Layers({4}, {{.kind = LayerKind::kRelu},
                               {.kind = LayerKind::kEmbedding, .count = 9, .dimension = 2}})),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("model:11: model.layers[1].embedding must be the first layer")));
}

TEST(ModelShapesTest, SizesAreLimitedWithoutOverflow) {
  EXPECT_THAT(InferShapes(Layers({10'000'000}, {{.kind = LayerKind::kLinear, .out = 10'000'000}})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("larger than 2147483647")));
  EXPECT_THAT(InferShapes(Layers({1, 1'000'000, 1'000'000}, {{.kind = LayerKind::kRelu}})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model.input")));
  EXPECT_THAT(InferShapes(Layers({1, 40'000, 40'000},
                                 {{.kind = LayerKind::kConv2d, .out = 9, .kernel = 1}})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("values an example")));
  EXPECT_THAT(InferShapes(Layers({}, {{.kind = LayerKind::kRelu}})),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(InferShapes(Layers({0, 3}, {{.kind = LayerKind::kRelu}})),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace skerry
