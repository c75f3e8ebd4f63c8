#include "common/ml/private_gradient.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "common/ml/batch_tensors.h"
#include "common/ml/model.h"
#include "common/ml/network.h"
#include "common/ml/product_gradient.h"
#include "tests/common/ml/small_data.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

constexpr LossName kCrossEntropy = LossName::kCrossEntropy;
// Of a norm or sum, relative: a few hundred units in float's last place for two orders of
// summation.
constexpr double kTolerance = 3e-5;

LayerConfig Plain(LayerKind kind) { return {.kind = kind}; }
LayerConfig Linear(int64_t out) { return {.kind = LayerKind::kLinear, .out = out}; }
const LayerConfig kFlatten = Plain(LayerKind::kFlatten);

template <typename Number>
double NormOf(const std::vector<Number>& values) {
  double square = 0;
  for (const Number value : values) {
    square += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(square);
}

// What is compared: a job, its model and its rows.
struct Setting {
  JobConfig job;
  SharedModel model;
  SharedDataset data;
  std::vector<uint32_t> rows;
};

Setting SettingOf(const JobConfig& job, size_t row_count) {
  const SharedDataset data = RandomData(job, row_count);
  return {.job = job, .model = *InitialModel(job.model, 5), .data = data, .rows = AllRows(*data)};
}

absl::StatusOr<PrivateGradientResult> Compute(const Setting& setting,
                                              std::span<const uint32_t> rows, double clip_norm,
                                              Rng* dropout = nullptr) {
  SKERRY_ASSIGN_OR_RETURN(const std::unique_ptr<PrivateGradient> gradient,
                          PrivateGradient::Create(setting.job.model, setting.job.training.loss, 1));
  std::function<uint64_t()> words;
  if (dropout != nullptr) words = [dropout] { return dropout->NextU64(); };
  return gradient->Compute({.parameters = setting.model->values(),
                            .dataset = setting.data,
                            .rows = rows,
                            .clip_norm = clip_norm,
                            .dropout = words});
}

// The gradient of each row's loss by autograd, one after the other, in layout order.
std::vector<std::vector<float>> AutogradGradients(const Setting& setting, Rng* dropout = nullptr) {
  const Network network = *Network::Create(setting.job.model);
  std::vector<at::Tensor> parameters;
  for (const at::Tensor& view : ParametersOf(*setting.model, at::kCPU)) {
    parameters.push_back(view.clone().requires_grad_());
  }
  BatchTensors batch(at::kCPU, setting.rows.size());
  const auto losses = [&](std::span<const uint32_t> rows) {
    batch.Fill(*setting.data, rows);
    return network.Forward(batch.examples(), parameters, dropout);
  };
  std::vector<std::vector<float>> gradients;
  // With dropout one pass forward for all, because the masks are drawn for a whole batch.
  const at::Tensor together = dropout != nullptr ? losses(setting.rows) : at::Tensor();
  for (size_t i = 0; i < setting.rows.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const at::Tensor output = dropout != nullptr ? together.narrow(0, row, 1)
                                                 : losses(std::span(setting.rows).subspan(i, 1));
    const at::Tensor labels =
        dropout != nullptr ? batch.labels().narrow(0, row, 1) : batch.labels();
    for (const at::Tensor& parameter : parameters) parameter.mutable_grad().reset();
    LossOf(setting.job.training.loss, output, labels, Reduction::kSum)
        .backward({}, /*retain_graph=*/true);
    std::vector<float>& flat = gradients.emplace_back();
    for (const at::Tensor& parameter : parameters) {
      const at::Tensor values = parameter.grad().contiguous();
      flat.insert(flat.end(), values.data_ptr<float>(), values.data_ptr<float>() + values.numel());
    }
  }
  return gradients;
}

// `result` against the gradients, clipped and summed by the definition.
void ExpectClippedSum(const PrivateGradientResult& result,
                      const std::vector<std::vector<float>>& gradients, double clip_norm) {
  ASSERT_EQ(result.norms.size(), gradients.size());
  std::vector<double> expected(result.sum.size());
  double clipped_norms = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const double norm = NormOf(gradients[i]);
    EXPECT_NEAR(result.norms[i], norm, kTolerance * norm) << i;
    const double factor = std::min(1.0, clip_norm / norm);
    clipped_norms += std::min(norm, clip_norm);
    ASSERT_EQ(gradients[i].size(), expected.size());
    for (size_t j = 0; j < expected.size(); ++j) {
      expected[j] += factor * static_cast<double>(gradients[i][j]);
    }
  }
  std::vector<double> difference(expected.size());
  for (size_t j = 0; j < expected.size(); ++j) difference[j] = result.sum[j] - expected[j];
  EXPECT_LT(NormOf(difference), kTolerance * clipped_norms);
}

double MedianNorm(const std::vector<std::vector<float>>& gradients) {
  std::vector<double> norms;
  for (const std::vector<float>& gradient : gradients) norms.push_back(NormOf(gradient));
  std::sort(norms.begin(), norms.end());
  return norms[norms.size() / 2];
}

struct Case {
  const char* name;
  JobConfig job;
};

JobConfig BuiltInJob(ModelName name) {
  JobConfig job;
  job.model.name = name;
  return job;
}

LayerConfig Conv2d(int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                   bool has_bias = true) {
  return {.kind = LayerKind::kConv2d,
          .out = out,
          .kernel = kernel,
          .stride = stride,
          .padding = padding,
          .has_bias = has_bias};
}

LayerConfig GroupNorm(int64_t groups) { return {.kind = LayerKind::kGroupNorm, .groups = groups}; }

std::vector<Case> Cases() {
  const LayerConfig no_bias = {.kind = LayerKind::kLinear, .out = 3, .has_bias = false};
  const LayerConfig embedding = {.kind = LayerKind::kEmbedding, .count = 5, .dimension = 3};
  const LayerConfig max_pool = {
      .kind = LayerKind::kMaxPool, .kernel = 3, .stride = 2, .padding = 1};
  const LayerConfig avg_pool = {
      .kind = LayerKind::kAvgPool, .kernel = 3, .stride = 2, .padding = 1};
  return {
      {"Linear", LayersJob({5}, {Linear(3)})},
      {"LinearWithoutBias", LayersJob({5}, {no_bias})},
      {"TwoLinear", LayersJob({5}, {Linear(4), Plain(LayerKind::kTanh), Linear(3)})},
      {"MeanSquaredError", LayersJob({5}, {Linear(4), Linear(3)}, LossName::kMse)},
      {"BinaryCrossEntropy", LayersJob({5}, {Linear(4), Linear(1)}, LossName::kBce)},
      {"NothingToLearnInFront", LayersJob({5}, {Plain(LayerKind::kTanh), Linear(3)})},
      {"NothingToLearnBehind", LayersJob({5}, {Linear(3), Plain(LayerKind::kGelu)})},
      {"ShortSequence", LayersJob({2, 20}, {Linear(20), Linear(20), kFlatten})},
      {"ShortSequenceWithoutBias", LayersJob({2, 20}, {no_bias, Linear(20), kFlatten})},
      {"LongSequence",
       LayersJob({30, 4}, {Linear(3), Plain(LayerKind::kRelu), Linear(2), kFlatten})},
      {"Conv2d", LayersJob({2, 7, 7}, {Conv2d(3, 3, 2, 1), kFlatten})},
      {"Conv2dOfARectangle",
       LayersJob({2, 9, 5}, {Conv2d(4, 3, 1, 2), Conv2d(3, 2, 3, 0), kFlatten})},
      {"Conv2dWithoutBias", LayersJob({1, 5, 5}, {Conv2d(2, 2, 1, 0, false), kFlatten})},
      {"Conv2dWithPaddingBeyondItsKernel", LayersJob({2, 3, 3}, {Conv2d(3, 2, 3, 3), kFlatten})},
      {"Conv2dOfOnePosition", LayersJob({3, 4, 4}, {Conv2d(5, 4, 1, 0), kFlatten, Linear(3)})},
      {"Conv2dOfFewPositions",
       LayersJob({2, 4, 4}, {Conv2d(16, 3, 1, 0), Plain(LayerKind::kRelu), kFlatten, Linear(3)})},
      {"Conv2dByOne", LayersJob({3, 5, 4}, {Conv2d(4, 1, 2, 0), kFlatten})},
      {"GroupNorm", LayersJob({4, 3, 5}, {GroupNorm(2), Conv2d(6, 2, 1, 0), GroupNorm(3),
                                          Plain(LayerKind::kTanh), kFlatten, Linear(2)})},
      {"GroupNormWithoutAffine",
       LayersJob({4, 3, 5}, {Conv2d(6, 2, 1, 0),
                             {.kind = LayerKind::kGroupNorm, .groups = 3, .has_affine = false},
                             kFlatten,
                             Linear(2)})},
      {"GroupNormOfFeatures", LayersJob({5}, {Linear(6), GroupNorm(2), Linear(3)})},
      {"LayerNorm", LayersJob({6}, {Plain(LayerKind::kLayerNorm), Linear(4),
                                    Plain(LayerKind::kLayerNorm), Linear(2)})},
      {"LayerNormOnASequence",
       LayersJob({3, 6}, {Linear(4), Plain(LayerKind::kLayerNorm), kFlatten, Linear(2)})},
      // Eight positions of five rows: some are looked up twice.
      {"Embedding", LayersJob({8}, {embedding, kFlatten, Linear(2)})},
      {"EmbeddingBeforeASequence",
       LayersJob({8}, {embedding, Linear(4), Plain(LayerKind::kGelu), kFlatten, Linear(2)})},
      {"Relu", LayersJob({5}, {Linear(4), Plain(LayerKind::kRelu), Linear(2)})},
      {"Gelu", LayersJob({5}, {Linear(4), Plain(LayerKind::kGelu), Linear(2)})},
      {"MaxPool", LayersJob({2, 7, 6}, {Conv2d(3, 2, 1, 1), max_pool, kFlatten, Linear(2)})},
      {"AvgPool", LayersJob({2, 7, 6}, {Conv2d(3, 2, 1, 1), avg_pool, kFlatten, Linear(2)})},
      {"DropoutLeftOut",
       LayersJob({5}, {Linear(8), {.kind = LayerKind::kDropout, .rate = 0.5}, Linear(3)})},
      {"Mlp", BuiltInJob(ModelName::kMlp)},
      {"Cnn", BuiltInJob(ModelName::kCnn)},
      {"CnnSmall", BuiltInJob(ModelName::kCnnSmall)},
      {"CnnSmallGn", BuiltInJob(ModelName::kCnnSmallGn)},
  };
}

class PrivateGradientTest : public testing::TestWithParam<Case> {};

TEST_P(PrivateGradientTest, NormsAndClippedSumEqualThoseOfAutogradOneByOne) {
  const Setting setting = SettingOf(GetParam().job, 9);
  const std::vector<std::vector<float>> gradients = AutogradGradients(setting);
  const double median = MedianNorm(gradients);

  // Some clipped and some not; all; none.
  for (const double clip_norm : {median, 1e-3 * median, 1e6 * median}) {
    ASSERT_OK_AND_ASSIGN(const PrivateGradientResult result,
                         Compute(setting, setting.rows, clip_norm));
    ExpectClippedSum(result, gradients, clip_norm);
  }
}

TEST_P(PrivateGradientTest, OneExampleNeverAddsMoreThanTheClipNorm) {
  const Setting setting = SettingOf(GetParam().job, 5);
  for (const uint32_t row : setting.rows) {
    for (const double clip_norm : {1e-3, 0.1}) {
      ASSERT_OK_AND_ASSIGN(const PrivateGradientResult result,
                           Compute(setting, {&row, 1}, clip_norm));
      EXPECT_LE(NormOf(result.sum), clip_norm * (1 + PrivateGradient::kNormTolerance));
      EXPECT_GE(NormOf(result.sum), std::min(clip_norm, result.norms[0]) * (1 - kTolerance));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PrivateGradientTest, testing::ValuesIn(Cases()),
                         [](const auto& test) { return std::string(test.param.name); });

// Both ways to a norm are taken by the cases above and by the built-in models.
TEST(ProductShapeTest, ProductsAreMadeWhereTheyAreSmallBesideTheirFactors) {
  const auto is_materialized = [](int64_t positions, int64_t inputs, int64_t outputs) {
    return ProductShape{.positions = positions, .inputs = inputs, .outputs = outputs}
        .is_materialized();
  };

  EXPECT_TRUE(is_materialized(196, 64, 16));  // cnn_small's convolutions
  EXPECT_TRUE(is_materialized(25, 256, 32));
  EXPECT_TRUE(is_materialized(196, 800, 64));   // cnn's second
  EXPECT_TRUE(is_materialized(30, 4, 3));       // LongSequence
  EXPECT_FALSE(is_materialized(1, 3136, 512));  // cnn's linear layer
  EXPECT_FALSE(is_materialized(2, 20, 20));     // ShortSequence
  EXPECT_FALSE(is_materialized(4, 18, 16));     // Conv2dOfFewPositions
}

class PrivateGradientBatchTest : public testing::Test {
 protected:
  const JobConfig job_ =
      LayersJob({2, 20}, {Linear(20), Plain(LayerKind::kTanh), Linear(4), kFlatten, Linear(3)});
};

TEST_F(PrivateGradientBatchTest, BatchOfSeveralChunksIsTheSumOverAllOfThem) {
  const Setting setting = SettingOf(job_, 700);
  ASSERT_OK_AND_ASSIGN(const auto gradient,
                       PrivateGradient::Create(job_.model, job_.training.loss, 1));
  ASSERT_LT(3 * gradient->chunk_size(), setting.rows.size());
  const std::vector<std::vector<float>> gradients = AutogradGradients(setting);
  const double clip_norm = MedianNorm(gradients);

  ASSERT_OK_AND_ASSIGN(const PrivateGradientResult result,
                       Compute(setting, setting.rows, clip_norm));

  ExpectClippedSum(result, gradients, clip_norm);
}

TEST_F(PrivateGradientBatchTest, EmptyBatchIsAZeroVector) {
  const Setting setting = SettingOf(job_, 3);

  ASSERT_OK_AND_ASSIGN(const PrivateGradientResult result, Compute(setting, {}, 1.0));

  EXPECT_EQ(result.sum, std::vector<double>(setting.model->size()));
  EXPECT_THAT(result.norms, testing::IsEmpty());
  EXPECT_EQ(result.loss_sum, 0.0);
}

TEST_F(PrivateGradientBatchTest, LossIsThatOfEvaluation) {
  const Setting setting = SettingOf(job_, 40);
  const at::NoGradGuard no_grad;
  BatchTensors batch(at::kCPU, 40);
  batch.Fill(*setting.data, setting.rows);
  const at::Tensor output =
      Network::Create(job_.model)
          ->Forward(batch.examples(), ParametersOf(*setting.model, at::kCPU), nullptr);
  const double expected =
      LossOf(kCrossEntropy, output, batch.labels(), Reduction::kSum).item<double>();

  ASSERT_OK_AND_ASSIGN(const PrivateGradientResult result, Compute(setting, setting.rows, 1.0));

  EXPECT_NEAR(result.loss_sum, expected, 1e-5 * expected);
}

TEST_F(PrivateGradientBatchTest, OneObjectComputesTheSameAgainWhateverCameBetween) {
  const Setting setting = SettingOf(job_, 200);
  ASSERT_OK_AND_ASSIGN(const auto gradient,
                       PrivateGradient::Create(job_.model, job_.training.loss, 1));
  const auto compute = [&](size_t count) {
    return gradient
        ->Compute({.parameters = setting.model->values(),
                   .dataset = setting.data,
                   .rows = std::span(setting.rows).first(count),
                   .clip_norm = 0.1})
        ->sum;
  };

  const std::vector<double> first = compute(200);
  compute(7);

  EXPECT_EQ(compute(200), first);
}

TEST(PrivateGradientDropoutTest, EachExampleHasOneMaskForwardAndBack) {
  const JobConfig job = LayersJob({2, 6, 6}, {Conv2d(4, 3, 1, 1),
                                              {.kind = LayerKind::kDropout, .rate = 0.3},
                                              Plain(LayerKind::kTanh),
                                              kFlatten,
                                              {.kind = LayerKind::kDropout, .rate = 0.5},
                                              Linear(3)});
  const Setting setting = SettingOf(job, 9);
  Rng masks(11);
  Rng same_masks(11);
  const std::vector<std::vector<float>> gradients = AutogradGradients(setting, &same_masks);
  const double clip_norm = MedianNorm(gradients);

  ASSERT_OK_AND_ASSIGN(const PrivateGradientResult result,
                       Compute(setting, setting.rows, clip_norm, &masks));

  ExpectClippedSum(result, gradients, clip_norm);
}

class PrivateGradientRefusalTest : public testing::Test {
 protected:
  // Rows of a linear model with the given feature in the middle of the second one.
  static Setting With(float feature) {
    Setting setting = SettingOf(LayersJob({3}, {Linear(2)}, LossName::kMse), 4);
    setting.data = std::make_shared<const Dataset>(Dataset::Contents{
        .example_shape = {3},
        .features = std::vector<float>{1, 2, 3, 4, feature, 6, 7, 8, 9, 10, 11, 12},
        .classes = {},
        .targets = {1, 2, 3, 4, 5, 6, 7, 8},
        .target_size = 2});
    return setting;
  }
};

TEST_F(PrivateGradientRefusalTest, GradientThatIsNotFiniteIsRefusedAndNotClipped) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float feature : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    const Setting setting = With(feature);
    const uint32_t bad = 1;
    const std::vector<uint32_t> good = {0, 2, 3};

    EXPECT_THAT(Compute(setting, setting.rows, 1.0).status(),
                StatusIs(absl::StatusCode::kOutOfRange));
    EXPECT_THAT(Compute(setting, {&bad, 1}, 1.0).status(), StatusIs(absl::StatusCode::kOutOfRange));
    EXPECT_OK(Compute(setting, good, 1.0));
  }
}

// Also where a product or a later layer would hide it.
TEST_F(PrivateGradientRefusalTest, NotFiniteIsFoundInEveryKindOfLayer) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const LayerConfig max_pool = {.kind = LayerKind::kMaxPool, .kernel = 2, .stride = 2};
  for (const std::vector<LayerConfig>& layers : std::vector<std::vector<LayerConfig>>{
           {Conv2d(3, 2, 1, 0), Plain(LayerKind::kRelu), max_pool, kFlatten, Linear(2)},
           {Conv2d(16, 3, 1, 0), kFlatten, Linear(2)},
           {kFlatten, Plain(LayerKind::kLayerNorm), Linear(2)},
           {GroupNorm(2), kFlatten, Linear(2)}}) {
    Setting setting = SettingOf(LayersJob({2, 4, 4}, layers), 3);
    std::vector<float> values(3 * 32, 0.5f);
    values[40] = nan;
    setting.data = std::make_shared<const Dataset>(Dataset::Contents{.example_shape = {2, 4, 4},
                                                                     .features = std::move(values),
                                                                     .classes = {0, 1, 0},
                                                                     .targets = {}});
    const std::vector<uint32_t> good = {0, 2};

    EXPECT_THAT(Compute(setting, setting.rows, 1.0).status(),
                StatusIs(absl::StatusCode::kOutOfRange));
    EXPECT_OK(Compute(setting, good, 1.0));
  }
}

TEST_F(PrivateGradientRefusalTest, ParametersThatAreNotFiniteAreRefused) {
  Setting setting = With(5);
  std::vector<float> values(setting.model->values().begin(), setting.model->values().end());
  values[1] = std::numeric_limits<float>::quiet_NaN();
  setting.model = std::make_shared<const ParameterVector>(setting.model->layout(), values);

  EXPECT_THAT(Compute(setting, setting.rows, 1.0).status(),
              StatusIs(absl::StatusCode::kOutOfRange));
}

// The norm's square is beyond float's range.
TEST_F(PrivateGradientRefusalTest, HugeGradientIsClippedLikeAnyOther) {
  for (const float feature : {1e15f, 3e38f}) {
    const Setting setting = With(feature);
    const uint32_t huge = 1;

    ASSERT_OK_AND_ASSIGN(const PrivateGradientResult result, Compute(setting, {&huge, 1}, 0.5));

    EXPECT_GT(result.norms[0], 1e25);
    EXPECT_LE(NormOf(result.sum), 0.5 * (1 + PrivateGradient::kNormTolerance));
  }
}

// The two positions' terms cancel in exact arithmetic. What is left over in float would pass
// unclipped if it were not counted.
TEST_F(PrivateGradientRefusalTest, TermsThatCancelDoNotSlipPastTheClip) {
  constexpr size_t kWidth = 20;
  const LayerConfig layer = {.kind = LayerKind::kLinear, .out = kWidth, .has_bias = false};
  Setting setting = SettingOf(LayersJob({2, kWidth}, {layer, kFlatten}, LossName::kMse), 1);
  Rng rng(3);
  std::vector<float> features(2 * kWidth);
  for (size_t i = 0; i < kWidth; ++i) {
    features[i] = static_cast<float>(1e7 * rng.Normal());
    features[kWidth + i] = -features[i];
  }
  // Every output misses its target by 8.
  const at::Tensor output = Network::Create(setting.job.model)
                                ->Forward(at::from_blob(features.data(), {1, 2 * kWidth}),
                                          ParametersOf(*setting.model, at::kCPU), nullptr) -
                            8.0f;
  const float* targets = output.data_ptr<float>();
  setting.data = std::make_shared<const Dataset>(
      Dataset::Contents{.example_shape = {2, kWidth},
                        .features = features,
                        .classes = {},
                        .targets = std::vector<float>(targets, targets + 2 * kWidth),
                        .target_size = 2 * kWidth});

  ASSERT_OK_AND_ASSIGN(const PrivateGradientResult result, Compute(setting, setting.rows, 1.0));

  EXPECT_GT(result.norms[0], 1.0);
  EXPECT_LE(NormOf(result.sum), 1 + PrivateGradient::kNormTolerance);
}

TEST_F(PrivateGradientRefusalTest, TasksThatDoNotFitAreRefused) {
  const Setting setting = With(5);
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument);
  for (const double clip_norm : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    EXPECT_THAT(Compute(setting, setting.rows, clip_norm).status(), refused);
  }
  Setting other_model = setting;
  other_model.model = *InitialModel(LayersJob({3}, {Linear(3)}).model, 1);
  EXPECT_THAT(Compute(other_model, other_model.rows, 1.0).status(), refused);
  Setting other_data = setting;
  other_data.data = RandomData(LayersJob({4}, {Linear(2)}, LossName::kMse), 4);
  EXPECT_THAT(Compute(other_data, other_data.rows, 1.0).status(), refused);
  EXPECT_THAT(
      PrivateGradient::Create(LayersJob({2, 3}, {Linear(2)}).model, kCrossEntropy, 1).status(),
      refused);
}

}  // namespace
}  // namespace skerry
