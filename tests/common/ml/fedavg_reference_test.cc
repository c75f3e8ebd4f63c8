#include "tests/support/fedavg_reference.h"

#include <array>
#include <cmath>

#include "common/ml/batches.h"
#include "common/ml/data_loader.h"
#include "common/ml/model.h"
#include "common/ml/trainer.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

const std::vector<std::string> kNodes = {"node-0", "node-1", "node-2", "node-3"};
constexpr int64_t kRounds = 3;

// Three rounds with our trainer and a plain weighted mean of what it returns.
std::vector<float> TrainRounds(const JobConfig& job) {
  const DataRequest request = *DataRequestFor(job, job.data);
  const std::array<uint32_t, 4> everyone = {0, 1, 2, 3};
  const HostedData data = *LoadHostedNodes(request, 4, everyone);
  const auto trainer = *Trainer::Create(job, {});
  SharedModel global = *InitialModel(job.model, job.seed);
  for (uint64_t round = 1; round <= kRounds; ++round) {
    std::vector<double> sum(global->size());
    double weight_sum = 0;
    for (size_t node = 0; node < kNodes.size(); ++node) {
      const TrainResult result =
          *trainer->Train({.global = global,
                           .dataset = data.dataset,
                           .rows = data.rows.rows(node),
                           .seed = TrainingSeed(job.seed, kNodes[node], round)});
      const auto weight = static_cast<double>(result.example_count);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * result.delta[i];
      weight_sum += weight;
    }
    ParameterVector next(global->layout());
    for (size_t i = 0; i < sum.size(); ++i) {
      next.values()[i] = static_cast<float>(global->values()[i] + sum[i] / weight_sum);
    }
    global = std::make_shared<const ParameterVector>(std::move(next));
  }
  return {global->values().begin(), global->values().end()};
}

JobConfig FashionJob(ModelName model) {
  JobConfig job;
  job.seed = 42;
  job.model.name = model;
  job.data.path = "/usr/share/datasets/fashion-mnist";
  job.data.examples_max = 150;  // nodes of unequal size: 150 = 2 x 38 + 2 x 37
  job.training.batch_size = 16;
  job.training.optimizer.learning_rate = 0.05;
  return job;
}

// Both compute the same sums in float32, grouped differently; a rounding error of 1e-7 grows in
// the 3 x 3 steps of a node by less than a factor of hundred.
void ExpectAgreement(const JobConfig& job) {
  ASSERT_OK_AND_ASSIGN(const std::vector<float> expected, ReferenceFedAvg(job, kNodes, kRounds));
  ASSERT_OK_AND_ASSIGN(const SharedModel initial, InitialModel(job.model, job.seed));

  const std::vector<float> actual = TrainRounds(job);

  ASSERT_EQ(actual.size(), expected.size());
  double change = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], 1e-5) << i;
    change = std::max(change, std::abs(static_cast<double>(actual[i]) - initial->values()[i]));
  }
  EXPECT_GT(change, 1e-2);  // there was something to agree on
}

TEST(FedAvgReferenceTest, TrainerAndPlainMeanAgreeWithItForMlp) {
  ExpectAgreement(FashionJob(ModelName::kMlp));
}

TEST(FedAvgReferenceTest, TrainerAndPlainMeanAgreeWithItForCnnSmall) {
  ExpectAgreement(FashionJob(ModelName::kCnnSmall));
}

TEST(FedAvgReferenceTest, TrainerAndPlainMeanAgreeWithItForFedProxWithMomentum) {
  JobConfig job = FashionJob(ModelName::kCnnSmallGn);
  job.strategy.name = StrategyName::kFedProx;
  job.strategy.mu = 0.1;
  job.training.optimizer.momentum = 0.9;
  job.data.partition.scheme = PartitionScheme::kDirichlet;
  ExpectAgreement(job);
}

}  // namespace
}  // namespace skerry
