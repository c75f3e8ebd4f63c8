#include "common/ml/trainer.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <torch/torch.h>

#include "common/base/status.h"
#include "common/ml/batch_tensors.h"
#include "common/ml/batches.h"
#include "common/ml/fused_optimizer.h"
#include "common/ml/network.h"
#include "common/ml/private_trainer.h"
#include "common/ml/torch_optimizer.h"
#include "common/ml/train_progress.h"
#include "common/ml/update_clip.h"

namespace skerry {
namespace {

constexpr char kTraining[] = "training failed";

double ProximalMu(const StrategyConfig& strategy) {
  return strategy.name == StrategyName::kFedProx ? strategy.mu : 0.0;
}

}  // namespace

class Trainer::Impl {
 public:
  Impl(const JobConfig& job, const ComputeConfig& compute, Network network)
      : training_(job.training),
        privacy_(job.privacy),
        mu_(ProximalMu(job.strategy)),
        compute_(compute),
        network_(std::move(network)) {}

  absl::Status MakePrivate(const JobConfig& job) {
    if (!privacy_.enabled || privacy_.unit != PrivacyUnit::kRecord) return absl::OkStatus();
    SKERRY_ASSIGN_OR_RETURN(private_, PrivateTrainer::Create(job, compute_.threads,
                                                             network_.layout()->element_count()));
    return absl::OkStatus();
  }

  absl::Status Check(const TrainTask& task) const {
    if (*task.global->layout() != *network_.layout()) {
      return absl::InvalidArgumentError("the global model's tensors are not those of this job");
    }
    if (task.rows.empty() && private_ == nullptr) {
      return absl::InvalidArgumentError("the node has no rows to train on");
    }
    return CheckData(network_, training_.loss, *task.dataset);
  }

  absl::StatusOr<TrainResult> Train(const TrainTask& task, const TrainObserver& observer) {
    SKERRY_ASSERT(!privacy_.enabled || task.random != nullptr);
    if (training_.local_epochs == 0 && !IsGradientRound(privacy_)) {
      TrainResult untouched;
      untouched.delta.resize(network_.layout()->element_count());
      untouched.example_count = privacy_.enabled ? 0 : task.rows.size();
      return untouched;
    }
    if (private_ != nullptr) return private_->Train(task, observer);
    SKERRY_ASSIGN_OR_RETURN(TrainResult result, TrainPlainly(task, observer));
    if (privacy_.enabled) {
      const double clip_norm = task.clip_norm.value_or(privacy_.clip_norm);
      SKERRY_ASSIGN_OR_RETURN(const double norm, UpdateNorm(result.delta));
      result.is_within_clip = norm <= clip_norm;
      SKERRY_RETURN_IF_ERROR(ClipUpdate(result.delta, clip_norm));
      result.example_count = 0;
      result.train_loss = 0.0;
    }
    return result;
  }

 private:
  absl::StatusOr<TrainResult> TrainPlainly(const TrainTask& task, const TrainObserver& observer) {
    return CatchTorch(kTraining, [&]() -> absl::StatusOr<TrainResult> {
      PrepareCompute(compute_.threads);
      MakeResident();
      LoadGlobal(*task.global);
      TrainProgress progress(
          observer, BatchCount(task.rows.size()) * static_cast<uint64_t>(training_.local_epochs));
      Rng dropout = Rng::Derive(task.seed, "dropout");
      TrainResult result;
      result.example_count = task.rows.size();
      for (int64_t epoch = 0; epoch < training_.local_epochs; ++epoch) {
        const std::vector<uint32_t> order =
            EpochOrder(task.rows, task.seed, static_cast<uint64_t>(epoch));
        SKERRY_ASSIGN_OR_RETURN(result.train_loss, RunEpoch(task, order, dropout, progress));
      }
      SKERRY_ASSIGN_OR_RETURN(result.delta, Delta(*task.global));
      return result;
    });
  }

  uint64_t BatchCount(size_t row_count) const {
    const auto batch_size = static_cast<uint64_t>(training_.batch_size);
    return (row_count + batch_size - 1) / batch_size;
  }

  bool is_on_cpu() const { return device_.is_cpu(); }

  void MakeResident() {
    if (!parameters_.empty()) return;
    device_ = at::Device(compute_.device);
    std::vector<at::Tensor> parameters;
    for (const TensorShape& tensor : network_.layout()->tensors()) {
      parameters.push_back(
          at::empty(tensor.sizes, at::TensorOptions(device_).dtype(at::kFloat)).requires_grad_());
    }
    batch_.emplace(device_, static_cast<size_t>(training_.batch_size));
    if (is_on_cpu()) {
      fused_.emplace(training_.optimizer, mu_, network_.layout()->element_count());
    }
    parameters_ = std::move(parameters);
  }

  void LoadGlobal(const ParameterVector& global) {
    const at::NoGradGuard no_grad;
    const std::vector<at::Tensor> values = ParametersOf(global, device_);
    for (size_t i = 0; i < parameters_.size(); ++i) parameters_[i].copy_(values[i]);
    if (is_on_cpu()) {
      fused_->Reset();
    } else {
      torch_ = MakeTorchOptimizer(training_.optimizer, parameters_);
      anchor_ = mu_ != 0.0 ? values : std::vector<at::Tensor>();
    }
  }

  // Returns the mean loss over the epoch's examples, each seen before the step it took part in.
  absl::StatusOr<double> RunEpoch(const TrainTask& task, std::span<const uint32_t> order,
                                  Rng& dropout, TrainProgress& progress) {
    const auto batch_size = static_cast<size_t>(training_.batch_size);
    double loss_sum = 0.0;
    for (size_t begin = 0; begin < order.size(); begin += batch_size) {
      SKERRY_RETURN_IF_ERROR(progress.BeginStep());
      const auto rows = order.subspan(begin, std::min(batch_size, order.size() - begin));
      batch_->Fill(*task.dataset, rows);
      const double loss = Backward(dropout);
      if (!std::isfinite(loss)) {
        return absl::OutOfRangeError(
            fmt::format("the training loss is {}: lower training.optimizer.learning_rate", loss));
      }
      loss_sum += loss * static_cast<double>(rows.size());
      Step(*task.global);
      progress.FinishStep();
    }
    return loss_sum / static_cast<double>(order.size());
  }

  // Leaves the gradients of the batch in the parameters and returns its mean loss.
  double Backward(Rng& dropout) {
    // Without an old gradient autograd hands its own tensor over instead of adding to ours, which
    // saves three walks over the parameters a batch.
    for (const at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
    const at::Tensor output = network_.Forward(batch_->examples(), parameters_, &dropout);
    const at::Tensor loss = LossOf(training_.loss, output, batch_->labels(), Reduction::kMean);
    loss.backward();
    return loss.item<double>();
  }

  void Step(const ParameterVector& global) {
    const at::NoGradGuard no_grad;
    if (!is_on_cpu()) {
      for (size_t i = 0; i < anchor_.size(); ++i) {
        parameters_[i].mutable_grad().add_(parameters_[i] - anchor_[i], mu_);
      }
      torch_->step();
      return;
    }
    fused_->BeginStep();
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const at::Tensor gradient = parameters_[i].grad().contiguous();
      const auto count = static_cast<size_t>(gradient.numel());
      fused_->Update({.offset = network_.layout()->offset(i),
                      .weights = {parameters_[i].data_ptr<float>(), count},
                      .gradient = {gradient.data_ptr<float>(), count},
                      .anchor = global.tensor(i)});
    }
  }

  absl::StatusOr<std::vector<float>> Delta(const ParameterVector& global) const {
    std::vector<float> delta(global.size());
    bool is_finite = true;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const at::Tensor local = parameters_[i].detach().to(at::kCPU);
      const float* from = local.data_ptr<float>();
      const std::span<const float> base = global.tensor(i);
      float* to = delta.data() + global.layout()->offset(i);
      for (size_t j = 0; j < base.size(); ++j) {
        to[j] = from[j] - base[j];
        is_finite &= std::isfinite(to[j]);
      }
    }
    if (!is_finite) {
      return absl::OutOfRangeError(
          "a weight is no longer a finite number: lower training.optimizer.learning_rate");
    }
    return delta;
  }

  TrainingConfig training_;
  PrivacyConfig privacy_;
  double mu_;
  ComputeConfig compute_;
  Network network_;
  std::unique_ptr<PrivateTrainer> private_;  // if privacy is about records
  // Made by the first task.
  at::Device device_ = at::kCPU;
  std::vector<at::Tensor> parameters_;
  std::optional<BatchTensors> batch_;
  std::optional<FusedOptimizer> fused_;             // on the CPU
  std::unique_ptr<torch::optim::Optimizer> torch_;  // on another device
  std::vector<at::Tensor> anchor_;
};

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(const JobConfig& job,
                                                         const ComputeConfig& compute) {
  SKERRY_RETURN_IF_ERROR(CheckDevice(compute.device));
  SKERRY_ASSIGN_OR_RETURN(Network network, Network::Create(job.model));
  SKERRY_RETURN_IF_ERROR(CheckLoss(network, job.training.loss));
  auto impl = std::make_unique<Impl>(job, compute, std::move(network));
  SKERRY_RETURN_IF_ERROR(impl->MakePrivate(job));
  return std::unique_ptr<Trainer>(new Trainer(std::move(impl)));
}

Trainer::Trainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Trainer::~Trainer() = default;

absl::StatusOr<TrainResult> Trainer::Train(const TrainTask& task, const TrainObserver& observer) {
  SKERRY_RETURN_IF_ERROR(impl_->Check(task));
  return impl_->Train(task, observer);
}

}  // namespace skerry
