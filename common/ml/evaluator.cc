#include "common/ml/evaluator.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "common/base/status.h"
#include "common/ml/batch_tensors.h"
#include "common/ml/metrics.h"
#include "common/ml/network.h"

namespace skerry {
namespace {

// Batches of 250 are no faster for the built-in models and took about 60 MiB more for activations.
constexpr size_t kBatchSize = 100;

// What is gathered over the batches.
class Tally {
 public:
  Tally(LossName loss, size_t output_count)
      : loss_(loss),
        output_count_(output_count),
        counts_(loss == LossName::kCrossEntropy ? output_count : (loss == LossName::kBce ? 2 : 0)) {
  }

  void Add(double batch_loss_sum, const at::Tensor& output, const at::Tensor& labels) {
    const auto rows = static_cast<size_t>(output.size(0));
    example_count_ += rows;
    loss_sum_ += batch_loss_sum;
    const float* values = output.data_ptr<float>();
    for (size_t row = 0; row < rows; ++row, values += output_count_) {
      switch (loss_) {
        case LossName::kCrossEntropy:
          counts_.Add(ArgMax({values, output_count_}),
                      static_cast<size_t>(labels.data_ptr<int64_t>()[row]));
          break;
        case LossName::kBce: {
          const bool is_positive = labels.data_ptr<float>()[row] > 0.5f;
          counts_.Add(values[0] > 0.0f ? 1 : 0, is_positive ? 1 : 0);  // logit 0 is one half
          scores_.push_back(values[0]);
          is_positive_.push_back(is_positive);
          has_nan_score_ |= std::isnan(values[0]);
          break;
        }
        case LossName::kMse: {
          const float* targets = labels.data_ptr<float>() + row * output_count_;
          for (size_t i = 0; i < output_count_; ++i) {
            absolute_error_sum_ += std::abs(static_cast<double>(values[i]) - targets[i]);
          }
          break;
        }
      }
    }
  }

  EvaluationResult Result() const {
    const auto count = static_cast<double>(example_count_);
    EvaluationResult result;
    result.example_count = example_count_;
    result.loss_sum = loss_sum_;
    result.loss = loss_sum_ / count;
    if (loss_ == LossName::kMse) {
      result.mae = absolute_error_sum_ / (count * static_cast<double>(output_count_));
      return result;
    }
    result.correct_count = counts_.correct_count();
    result.accuracy = counts_.Accuracy();
    result.f1 = loss_ == LossName::kBce ? counts_.F1(1) : counts_.MacroF1();
    // Scores of a diverged model have no order.
    if (loss_ == LossName::kBce && !has_nan_score_) {
      result.auc = AreaUnderRoc(scores_, is_positive_);
    }
    return result;
  }

 private:
  LossName loss_;
  size_t output_count_;
  ClassCounts counts_;
  uint64_t example_count_ = 0;
  double loss_sum_ = 0.0;
  double absolute_error_sum_ = 0.0;
  std::vector<float> scores_;
  std::vector<bool> is_positive_;
  bool has_nan_score_ = false;
};

absl::StatusOr<EvaluationResult> Run(const Network& network, LossName loss,
                                     const ComputeConfig& compute, const EvaluationTask& task) {
  const at::NoGradGuard no_grad;
  PrepareCompute(compute.threads);
  const at::Device device(compute.device);
  const std::vector<at::Tensor> parameters = ParametersOf(*task.model, device);
  BatchTensors batch(device, std::min(kBatchSize, task.rows.size()));
  Tally tally(loss, static_cast<size_t>(network.output()[0]));
  for (size_t begin = 0; begin < task.rows.size(); begin += kBatchSize) {
    if (task.is_cancelled && task.is_cancelled()) {
      return absl::CancelledError("evaluation was cancelled");
    }
    batch.Fill(*task.dataset,
               task.rows.subspan(begin, std::min(kBatchSize, task.rows.size() - begin)));
    const at::Tensor output = network.Forward(batch.examples(), parameters, nullptr);
    const at::Tensor loss_sum = LossOf(loss, output, batch.labels(), Reduction::kSum);
    tally.Add(loss_sum.item<double>(), output.to(at::kCPU).contiguous(),
              batch.labels().to(at::kCPU));
  }
  return tally.Result();
}

}  // namespace

absl::StatusOr<EvaluationResult> Evaluate(const JobConfig& job, const ComputeConfig& compute,
                                          const EvaluationTask& task) {
  const LossName loss = job.training.loss;
  SKERRY_RETURN_IF_ERROR(CheckDevice(compute.device));
  SKERRY_ASSIGN_OR_RETURN(const Network network, Network::Create(job.model));
  SKERRY_RETURN_IF_ERROR(CheckLoss(network, loss));
  SKERRY_RETURN_IF_ERROR(CheckData(network, loss, *task.dataset));
  if (*task.model->layout() != *network.layout()) {
    return absl::InvalidArgumentError("the model's tensors are not those of this job");
  }
  if (task.rows.empty()) return absl::InvalidArgumentError("there are no rows to evaluate on");
  return CatchTorch("evaluation failed", [&] { return Run(network, loss, compute, task); });
}

absl::StatusOr<EvaluationResult> Evaluate(const JobConfig& job, const ComputeConfig& compute,
                                          SharedModel model, SharedDataset dataset) {
  std::vector<uint32_t> rows(dataset->row_count());
  std::iota(rows.begin(), rows.end(), 0u);
  return Evaluate(job, compute,
                  EvaluationTask{.model = std::move(model),
                                 .dataset = std::move(dataset),
                                 .rows = rows,
                                 .is_cancelled = nullptr});
}

}  // namespace skerry
