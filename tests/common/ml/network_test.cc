#include "common/ml/network.h"

#include <cmath>

#include "common/ml/model.h"
#include "tests/common/ml/small_data.h"
#include "tests/support/reference_model.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

struct Case {
  const char* name;
  std::vector<int64_t> input;
  std::vector<LayerConfig> layers;
};

LayerConfig Linear(int64_t out) { return {.kind = LayerKind::kLinear, .out = out}; }

class NetworkLayerTest : public testing::TestWithParam<Case> {};

// Output and gradients of one batch against torch::nn modules with the same parameters. Both run
// the same kernels, so a few units in the last place are the tolerance.
TEST_P(NetworkLayerTest, OutputAndGradientsEqualThoseOfTorchNn) {
  const JobConfig job = LayersJob(GetParam().input, GetParam().layers);
  ASSERT_OK_AND_ASSIGN(const Network network, Network::Create(job.model));
  ASSERT_OK_AND_ASSIGN(const SharedModel model, InitialModel(job.model, 3));
  const SharedDataset data = RandomData(job, 6);
  at::Tensor batch = at::empty({6, static_cast<int64_t>(data->example_size())});
  data->GatherExamples(AllRows(*data), batch.data_ptr<float>());
  std::vector<int64_t> sizes = {6};
  sizes.insert(sizes.end(), job.model.input.begin(), job.model.input.end());
  torch::nn::Sequential reference = ReferenceModule(job.model);
  LoadReference(reference, model->values());
  std::vector<at::Tensor> parameters;
  for (const at::Tensor& view : ParametersOf(*model, at::kCPU)) {
    parameters.push_back(view.clone().requires_grad_());
  }
  const std::vector<at::Tensor> expected = reference->parameters();
  ASSERT_EQ(parameters.size(), expected.size());

  const at::Tensor output = network.Forward(batch, parameters, nullptr);
  const at::Tensor expected_output = reference->forward(batch.view(sizes));
  output.pow(2).sum().backward();
  expected_output.pow(2).sum().backward();

  EXPECT_TRUE(at::allclose(output, expected_output, 1e-5, 1e-6));
  EXPECT_EQ(output.sizes().slice(1), at::IntArrayRef(network.output()));
  for (size_t i = 0; i < parameters.size(); ++i) {
    ASSERT_EQ(parameters[i].sizes(), expected[i].sizes());
    EXPECT_EQ(parameters[i].sizes(), at::IntArrayRef(network.layout()->tensors()[i].sizes));
    EXPECT_TRUE(at::allclose(parameters[i].grad(), expected[i].grad(), 1e-4, 1e-5)) << i;
    EXPECT_GT(parameters[i].grad().abs().max().item<float>(), 0.0f) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layers, NetworkLayerTest,
    testing::Values(
        Case{"Linear", {5}, {Linear(3)}},
        Case{"LinearWithoutBias", {5}, {{.kind = LayerKind::kLinear, .out = 3, .has_bias = false}}},
        Case{"LinearOnASequence", {4, 5}, {Linear(3), {.kind = LayerKind::kFlatten}}},
        Case{"Conv2d",
             {2, 7, 7},
             {{.kind = LayerKind::kConv2d, .out = 3, .kernel = 3, .stride = 2, .padding = 1},
              {.kind = LayerKind::kFlatten}}},
        Case{"Conv2dWithoutBias",
             {1, 5, 5},
             {{.kind = LayerKind::kConv2d, .out = 2, .kernel = 2, .has_bias = false},
              {.kind = LayerKind::kFlatten}}},
        Case{"GroupNorm",
             {4, 3, 3},
             {{.kind = LayerKind::kGroupNorm, .groups = 2},
              {.kind = LayerKind::kFlatten},
              Linear(2)}},
        Case{"GroupNormWithoutAffine",
             {4, 3, 3},
             {{.kind = LayerKind::kGroupNorm, .groups = 2, .has_affine = false},
              {.kind = LayerKind::kFlatten},
              Linear(2)}},
        Case{"LayerNorm", {6}, {{.kind = LayerKind::kLayerNorm}, Linear(2)}},
        Case{"Embedding",
             {4},
             {{.kind = LayerKind::kEmbedding, .count = 5, .dimension = 3},
              {.kind = LayerKind::kFlatten},
              Linear(2)}},
        Case{"Relu", {5}, {Linear(4), {.kind = LayerKind::kRelu}, Linear(2)}},
        Case{"Gelu", {5}, {Linear(4), {.kind = LayerKind::kGelu}, Linear(2)}},
        Case{"Tanh", {5}, {Linear(4), {.kind = LayerKind::kTanh}, Linear(2)}},
        Case{"MaxPool",
             {2, 6, 6},
             {{.kind = LayerKind::kMaxPool, .kernel = 3, .stride = 2, .padding = 1},
              {.kind = LayerKind::kFlatten},
              Linear(2)}},
        Case{"AvgPool",
             {2, 6, 6},
             {{.kind = LayerKind::kAvgPool, .kernel = 3, .stride = 2, .padding = 1},
              {.kind = LayerKind::kFlatten},
              Linear(2)}},
        Case{"DropoutOfNothing", {5}, {{.kind = LayerKind::kDropout, .rate = 0.0}, Linear(2)}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(NetworkTest, BuiltInModelsHaveTheTensorsOfTheirTorchModules) {
  for (const ModelName name :
       {ModelName::kMlp, ModelName::kCnn, ModelName::kCnnSmall, ModelName::kCnnSmallGn}) {
    ModelConfig model;
    model.name = name;
    ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr layout, LayoutOf(model));
    const std::vector<at::Tensor> expected = ReferenceModule(model)->parameters();

    ASSERT_EQ(layout->tensors().size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(at::IntArrayRef(layout->tensors()[i].sizes), expected[i].sizes());
    }
  }
}

class DropoutTest : public testing::Test {
 protected:
  // Dropout of `rate` on ten thousand ones.
  at::Tensor Drop(double rate, Rng* rng) {
    const JobConfig job = LayersJob({10'000}, {{.kind = LayerKind::kDropout, .rate = rate}});
    return Network::Create(job.model)->Forward(at::ones({1, 10'000}), {}, rng);
  }
};

TEST_F(DropoutTest, ZeroesTheRateAndKeepsTheMean) {
  Rng rng(1);
  const at::Tensor output = Drop(0.25, &rng);

  const double zeros = (output == 0).sum().item<double>();
  EXPECT_NEAR(zeros, 2500, 5 * std::sqrt(10'000 * 0.25 * 0.75));
  EXPECT_EQ((output == static_cast<float>(1 / 0.75)).sum().item<double>(), 10'000 - zeros);
}

TEST_F(DropoutTest, FollowsItsStreamAndIsLeftOutInEvaluation) {
  Rng rng(1);
  Rng same(1);
  Rng other(2);
  const at::Tensor output = Drop(0.5, &rng);

  EXPECT_TRUE(at::equal(output, Drop(0.5, &same)));
  EXPECT_FALSE(at::equal(output, Drop(0.5, &other)));
  EXPECT_FALSE(at::equal(output, Drop(0.5, &rng)));  // the next mask of the same stream
  EXPECT_TRUE(at::equal(Drop(0.5, nullptr), at::ones({1, 10'000})));
}

}  // namespace
}  // namespace skerry
