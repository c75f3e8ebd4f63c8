// What Trainer's update is with each mechanism of privacy, and how far one record can move it.
#include <cmath>
#include <limits>

#include "common/ml/trainer.h"
#include "tests/common/ml/private_node.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::Each;
using testing::HasSubstr;

JobConfig BuiltInJob(ModelName name) {
  JobConfig job;
  job.model.name = name;
  return job;
}

std::vector<double> Difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference(a.size());
  for (size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return difference;
}

TEST(PrivateGradientRoundTest, UpdateIsMinusTheSumOfTheClippedGradients) {
  const Node node(WithPrivacy(SmallConvolution(), Mechanism::kDistributed, kClipNorm));
  torch::nn::Sequential module = ReferenceModule(node.job.model);
  LoadReference(module, node.global->values());
  const std::vector<double> sum = ReferenceSum(node, module);

  ASSERT_OK_AND_ASSIGN(const TrainResult result, node.Train());

  ASSERT_EQ(result.gradient_sum.size(), sum.size());
  for (size_t i = 0; i < sum.size(); ++i) {
    EXPECT_NEAR(result.gradient_sum[i], -sum[i], 1e-5 * 27 * kClipNorm) << i;
  }
  EXPECT_EQ(result.example_count, 0u);
  EXPECT_EQ(result.train_loss, 0.0);
}

TEST(PrivateGradientRoundTest, NeitherNoiseMultiplierNorLocalEpochsAreNeeded) {
  Node node(WithPrivacy(SmallConvolution(), Mechanism::kDistributed, kClipNorm));
  ASSERT_OK_AND_ASSIGN(const TrainResult expected, node.Train());
  node.job.privacy.noise_multiplier.reset();
  node.job.training.local_epochs = 0;

  ASSERT_OK_AND_ASSIGN(const TrainResult result, node.Train());

  EXPECT_EQ(result.gradient_sum, expected.gradient_sum);
}

TEST(PrivateGradientRoundTest, EmptySampleAndEmptyNodeGiveZeros) {
  Node rare(WithPrivacy(SmallConvolution(), Mechanism::kDistributed, kClipNorm));
  rare.job.privacy.sampling.rate = 1e-12;
  Node empty(WithPrivacy(SmallConvolution(), Mechanism::kDistributed, kClipNorm));
  empty.rows.clear();

  for (const Node* node : {&rare, &empty}) {
    ASSERT_OK_AND_ASSIGN(const TrainResult result, node->Train());

    EXPECT_EQ(result.gradient_sum.size(), node->global->size());
    EXPECT_THAT(result.gradient_sum, Each(0.0));
  }
}

struct ModelCase {
  const char* name;
  JobConfig job;
  size_t row_count;
};

std::vector<ModelCase> ModelCases() {
  const JobConfig sequence =
      LayersJob({8}, {{.kind = LayerKind::kEmbedding, .count = 5, .dimension = 3},
                      Linear(4),
                      {.kind = LayerKind::kGelu},
                      {.kind = LayerKind::kFlatten},
                      Linear(2)});
  const JobConfig norms = LayersJob({4, 3, 5}, {{.kind = LayerKind::kGroupNorm, .groups = 2},
                                                {.kind = LayerKind::kConv2d, .out = 6, .kernel = 2},
                                                {.kind = LayerKind::kRelu},
                                                {.kind = LayerKind::kFlatten},
                                                {.kind = LayerKind::kLayerNorm},
                                                Linear(2)});
  // More than one chunk of the clipped gradients, also without the row that is taken out.
  return {{"Small", SmallConvolution(), 140},
          {"Norms", norms, 140},
          {"Sequence", sequence, 140},
          {"Mlp", BuiltInJob(ModelName::kMlp), 140},
          {"Cnn", BuiltInJob(ModelName::kCnn), 12},
          {"CnnSmall", BuiltInJob(ModelName::kCnnSmall), 140},
          {"CnnSmallGn", BuiltInJob(ModelName::kCnnSmallGn), 140}};
}

class SensitivityTest : public testing::TestWithParam<ModelCase> {};

// All coins fall for taking part, with and without the record.
TEST_P(SensitivityTest, OneRecordMovesTheSumByTheClipNormAtMost) {
  const ModelCase& what = GetParam();
  for (const double clip_norm : {0.01, 1e6}) {
    Node node(WithPrivacy(what.job, Mechanism::kDistributed, clip_norm), what.row_count);
    const std::vector<uint32_t> all = node.rows;
    ASSERT_OK_AND_ASSIGN(const TrainResult with, node.Train());
    for (const size_t record : {size_t{0}, all.size() / 2, all.size() - 1}) {
      node.rows = all;
      node.rows.erase(node.rows.begin() + static_cast<ptrdiff_t>(record));
      ASSERT_OK_AND_ASSIGN(const TrainResult without, node.Train());
      node.rows = {all[record]};
      ASSERT_OK_AND_ASSIGN(const TrainResult alone, node.Train());

      const double moved = NormOf(Difference(with.gradient_sum, without.gradient_sum));
      EXPECT_LE(moved, clip_norm);
      EXPECT_LE(NormOf(alone.gradient_sum), clip_norm);
      // The record has moved it by what it is.
      EXPECT_NEAR(moved, NormOf(alone.gradient_sum), 1e-5 * NormOf(with.gradient_sum));
      if (clip_norm < 1) {
        EXPECT_GT(NormOf(alone.gradient_sum), clip_norm * (1 - 1e-5));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SensitivityTest, testing::ValuesIn(ModelCases()),
                         [](const auto& test) { return std::string(test.param.name); });

// The whole update is one vector: a clip for each tensor would let through the root of their number
// times the clip norm.
TEST(PrivateClientTest, UpdateOfOrdinaryTrainingIsClippedOverAllCoordinatesTogether) {
  JobConfig plain = SmallConvolution();
  plain.training.local_epochs = 2;
  ASSERT_OK_AND_ASSIGN(const TrainResult unclipped, Node(plain).Train());
  const double norm = NormOf(unclipped.delta);
  const double clip_norm = norm / 3;

  ASSERT_OK_AND_ASSIGN(const TrainResult result,
                       Node(WithPrivacy(plain, Mechanism::kClient, clip_norm)).Train());

  EXPECT_LE(NormOf(result.delta), clip_norm);
  EXPECT_GE(NormOf(result.delta), clip_norm * (1 - 1e-6));
  for (size_t i = 0; i < result.delta.size(); ++i) {
    EXPECT_NEAR(3 * result.delta[i], unclipped.delta[i], 1e-6f * std::fabs(unclipped.delta[i]));
  }
  EXPECT_EQ(result.example_count, 0u);
  EXPECT_EQ(result.train_loss, 0.0);
}

TEST(PrivateClientTest, ARoundsOwnClipNormWinsAndSaysWhetherTheUpdateWasWithin) {
  const JobConfig job = WithPrivacy(SmallConvolution(), Mechanism::kClient, 1e6);
  Node node(job);
  ASSERT_OK_AND_ASSIGN(const TrainResult unclipped, node.Train());
  const double norm = NormOf(unclipped.delta);
  ASSERT_OK_AND_ASSIGN(const auto trainer, Trainer::Create(job, {}));
  SeededRandom random(3);
  TrainTask task{.global = node.global,
                 .dataset = node.dataset,
                 .rows = node.rows,
                 .seed = 5,
                 .random = &random,
                 .clip_norm = norm * 0.999};

  ASSERT_OK_AND_ASSIGN(const TrainResult beyond, trainer->Train(task));
  task.clip_norm = norm * 1.001;
  ASSERT_OK_AND_ASSIGN(const TrainResult within, trainer->Train(task));

  EXPECT_FALSE(beyond.is_within_clip);
  EXPECT_LE(NormOf(beyond.delta), norm * 0.999);
  EXPECT_TRUE(within.is_within_clip);
  EXPECT_EQ(within.delta, unclipped.delta);
}

TEST(PrivateClientTest, ShorterUpdateStays) {
  ASSERT_OK_AND_ASSIGN(const TrainResult unclipped, Node(SmallConvolution()).Train());

  ASSERT_OK_AND_ASSIGN(const TrainResult result,
                       Node(WithPrivacy(SmallConvolution(), Mechanism::kClient, 1e6)).Train());

  EXPECT_EQ(result.delta, unclipped.delta);
}

TEST(PrivateUpdateTest, NotFiniteIsRefusedBeforeClippingByEveryMechanism) {
  for (const Mechanism mechanism :
       {Mechanism::kAgent, Mechanism::kDistributed, Mechanism::kClient}) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Node node(WithPrivacy(LayersJob({3}, {Linear(2)}, LossName::kMse), mechanism, 1.0), 4);
      node.dataset = std::make_shared<const Dataset>(
          Dataset::Contents{.example_shape = {3},
                            .features = std::vector<float>{1, 2, 3, 4, bad, 6, 7, 8, 9, 10, 11, 12},
                            .classes = {},
                            .targets = {1, 2, 3, 4, 5, 6, 7, 8},
                            .target_size = 2});

      EXPECT_THAT(node.Train(), StatusIs(StatusCode::kOutOfRange));
    }
  }
}

TEST(PrivateUpdateTest, DivergedTrainingIsAnErrorByEveryMechanismThatTrains) {
  JobConfig job = LayersJob({4}, {Linear(8), Linear(2)}, LossName::kMse);
  job.training.optimizer.learning_rate = 1e38;
  job.training.local_epochs = 20;
  for (const Mechanism mechanism : {Mechanism::kAgent, Mechanism::kClient}) {
    EXPECT_THAT(Node(WithPrivacy(job, mechanism, 1e6)).Train(),
                StatusIs(StatusCode::kOutOfRange, HasSubstr("learning_rate")));
  }
}

TEST(PrivateUpdateTest, WithoutEpochsTheDeltaIsZeroAndNoRowsAreCounted) {
  for (const Mechanism mechanism : {Mechanism::kAgent, Mechanism::kClient}) {
    JobConfig job = WithPrivacy(SmallConvolution(), mechanism, 1.0);
    job.training.local_epochs = 0;

    ASSERT_OK_AND_ASSIGN(const TrainResult result, Node(job).Train());

    EXPECT_THAT(result.delta, Each(0.0f));
    EXPECT_EQ(result.example_count, 0u);
  }
}

}  // namespace
}  // namespace skerry
