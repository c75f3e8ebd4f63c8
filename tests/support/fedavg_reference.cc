#include "tests/support/fedavg_reference.h"

#include <algorithm>
#include <numeric>

#include <torch/torch.h>

#include "common/base/status.h"
#include "common/config/model_shapes.h"
#include "common/ml/batches.h"
#include "common/ml/data_loader.h"
#include "common/ml/model.h"
#include "tests/support/reference_model.h"

namespace skerry {
namespace {

at::Tensor ExamplesOf(const Dataset& dataset, std::span<const uint32_t> rows,
                      const std::vector<int64_t>& input) {
  std::vector<int64_t> sizes = {static_cast<int64_t>(rows.size())};
  sizes.insert(sizes.end(), input.begin(), input.end());
  at::Tensor examples = at::empty(sizes, at::kFloat);
  dataset.GatherExamples(rows, examples.data_ptr<float>());
  return examples;
}

at::Tensor LabelsOf(const Dataset& dataset, std::span<const uint32_t> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  if (dataset.has_classes()) {
    at::Tensor labels = at::empty({count}, at::kLong);
    dataset.GatherClasses(rows, labels.data_ptr<int64_t>());
    return labels;
  }
  at::Tensor labels = at::empty({count, static_cast<int64_t>(dataset.target_size())}, at::kFloat);
  dataset.GatherTargets(rows, labels.data_ptr<float>());
  return labels;
}

}  // namespace

absl::StatusOr<std::vector<float>> ReferenceFedAvg(const JobConfig& job,
                                                   const std::vector<std::string>& node_ids,
                                                   int64_t round_count) {
  at::set_num_threads(1);
  std::vector<uint32_t> everyone(node_ids.size());
  std::iota(everyone.begin(), everyone.end(), 0u);
  SKERRY_ASSIGN_OR_RETURN(const DataRequest request, DataRequestFor(job, job.data));
  SKERRY_ASSIGN_OR_RETURN(const HostedData data,
                          LoadHostedNodes(request, node_ids.size(), everyone));
  SKERRY_ASSIGN_OR_RETURN(const SharedModel initial, InitialModel(job.model, job.seed));
  std::vector<float> global(initial->values().begin(), initial->values().end());
  torch::nn::Sequential module = ReferenceModule(job.model);
  const double mu = job.strategy.name == StrategyName::kFedProx ? job.strategy.mu : 0.0;

  for (int64_t round = 1; round <= round_count; ++round) {
    std::vector<double> sum(global.size());
    double weight_sum = 0;
    for (size_t node = 0; node < node_ids.size(); ++node) {
      const auto rows = data.rows.rows(node);
      const uint64_t seed = TrainingSeed(job.seed, node_ids[node], static_cast<uint64_t>(round));
      LoadReference(module, global);
      const auto optimizer = ReferenceOptimizer(job.training.optimizer, module);
      std::vector<at::Tensor> anchors;
      for (const at::Tensor& parameter : module->parameters()) {
        anchors.push_back(parameter.detach().clone());
      }
      const auto batch_size = static_cast<size_t>(job.training.batch_size);
      for (int64_t epoch = 0; epoch < job.training.local_epochs; ++epoch) {
        const std::vector<uint32_t> order = EpochOrder(rows, seed, static_cast<uint64_t>(epoch));
        for (size_t begin = 0; begin < order.size(); begin += batch_size) {
          const auto batch =
              std::span(order).subspan(begin, std::min(batch_size, order.size() - begin));
          optimizer->zero_grad();
          const at::Tensor output =
              module->forward(ExamplesOf(*data.dataset, batch, InputOf(job.model)));
          ReferenceLoss(job.training.loss, output, LabelsOf(*data.dataset, batch)).backward();
          const torch::NoGradGuard no_grad;
          const std::vector<at::Tensor> parameters = module->parameters();
          for (size_t i = 0; mu != 0.0 && i < parameters.size(); ++i) {
            parameters[i].grad().add_(parameters[i] - anchors[i], mu);
          }
          optimizer->step();
        }
      }
      const auto weight = static_cast<double>(
          std::min<int64_t>(static_cast<int64_t>(rows.size()), job.encoding.weight_cap));
      const std::vector<float> local = ReferenceValues(module);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * local[i];
      weight_sum += weight;
    }
    for (size_t i = 0; i < sum.size(); ++i) global[i] = static_cast<float>(sum[i] / weight_sum);
  }
  return global;
}

}  // namespace skerry
