#include "common/ml/private_trainer.h"

#include <cmath>
#include <utility>

#include "common/base/status.h"
#include "common/config/privacy_rules.h"
#include "common/ml/train_progress.h"
#include "common/privacy/random_words.h"

namespace skerry {

absl::StatusOr<std::unique_ptr<PrivateTrainer>> PrivateTrainer::Create(const JobConfig& job,
                                                                       int threads,
                                                                       size_t parameter_count) {
  SKERRY_ASSIGN_OR_RETURN(std::unique_ptr<PrivateGradient> gradient,
                          PrivateGradient::Create(job.model, job.training.loss, threads));
  SKERRY_ASSIGN_OR_RETURN(const PoissonSampling sampling,
                          PoissonSampling::Create(job.privacy.sampling.rate));
  auto trainer =
      std::unique_ptr<PrivateTrainer>(new PrivateTrainer(job, std::move(gradient), sampling));
  if (IsGradientRound(job.privacy)) return trainer;
  if (!job.privacy.noise_multiplier) {
    return absl::InvalidArgumentError(
        "privacy.noise_multiplier is missing: the coordinator computes it from epsilon before it "
        "sends a job");
  }
  SKERRY_ASSIGN_OR_RETURN(trainer->noise_,
                          GridNoise::Create({.clip_norm = job.privacy.clip_norm,
                                             .noise_multiplier = *job.privacy.noise_multiplier,
                                             .dimension = parameter_count}));
  return trainer;
}

PrivateTrainer::PrivateTrainer(const JobConfig& job, std::unique_ptr<PrivateGradient> gradient,
                               PoissonSampling sampling)
    : clip_norm_(job.privacy.clip_norm / (1.0 + PrivateGradient::kNormTolerance)),
      divisor_(static_cast<double>(job.training.batch_size)),
      step_count_(static_cast<uint64_t>(StepsPerRound(job))),
      optimizer_config_(job.training.optimizer),
      gradient_(std::move(gradient)),
      sampling_(sampling) {}

absl::StatusOr<TrainResult> PrivateTrainer::Train(const TrainTask& task,
                                                  const TrainObserver& observer) {
  SKERRY_ASSERT(task.random != nullptr);
  return noise_ ? Steps(task, observer) : OneSum(task, observer);
}

// The sum of the clipped gradients of the rows that take part this time.
absl::StatusOr<std::vector<double>> PrivateTrainer::SampledSum(const TrainTask& task,
                                                               std::span<const float> weights) {
  std::vector<uint32_t> rows =
      sampling_.Draw(static_cast<uint32_t>(task.rows.size()), *task.random);
  for (uint32_t& row : rows) row = task.rows[row];
  RandomWords masks(*task.random);
  SKERRY_ASSIGN_OR_RETURN(PrivateGradientResult result,
                          gradient_->Compute({.parameters = weights,
                                              .dataset = task.dataset,
                                              .rows = rows,
                                              .clip_norm = clip_norm_,
                                              .dropout = [&] { return masks.Next(); }}));
  return std::move(result.sum);
}

absl::StatusOr<TrainResult> PrivateTrainer::OneSum(const TrainTask& task,
                                                   const TrainObserver& observer) {
  TrainProgress progress(observer, 1);
  SKERRY_RETURN_IF_ERROR(progress.BeginStep());
  SKERRY_ASSIGN_OR_RETURN(std::vector<double> sum, SampledSum(task, task.global->values()));
  TrainResult result;
  result.gradient_sum = std::move(sum);
  for (double& value : result.gradient_sum) value = -value;
  progress.FinishStep();
  return result;
}

absl::StatusOr<TrainResult> PrivateTrainer::Steps(const TrainTask& task,
                                                  const TrainObserver& observer) {
  const std::span<const float> global = task.global->values();
  std::vector<float> weights(global.begin(), global.end());
  std::vector<float> gradient(weights.size());
  if (!optimizer_) optimizer_.emplace(optimizer_config_, 0.0, weights.size());
  optimizer_->Reset();
  TrainProgress progress(observer, step_count_);
  for (uint64_t step = 0; step < step_count_; ++step) {
    SKERRY_RETURN_IF_ERROR(progress.BeginStep());
    SKERRY_ASSIGN_OR_RETURN(const std::vector<double> sum, SampledSum(task, weights));
    SKERRY_RETURN_IF_ERROR(noise_->Release(sum, divisor_, *task.random, gradient));
    optimizer_->BeginStep();
    optimizer_->Update({.offset = 0, .weights = weights, .gradient = gradient, .anchor = {}});
    progress.FinishStep();
  }
  TrainResult result;
  result.delta = std::move(weights);
  bool is_finite = true;
  for (size_t i = 0; i < global.size(); ++i) {
    result.delta[i] -= global[i];
    is_finite &= std::isfinite(result.delta[i]);
  }
  if (!is_finite) {
    return absl::OutOfRangeError(
        "a weight is no longer a finite number: lower training.optimizer.learning_rate");
  }
  return result;
}

}  // namespace skerry
