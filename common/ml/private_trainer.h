// One node's part of a round that protects single records (privacy.unit record). The inner side of
// Trainer for these jobs; always on the CPU.
//
// With placement agent the node trains by DP-SGD (Abadi et al. 2016): in each step every row takes
// part with privacy.sampling.rate, the sum of the clipped gradients gets the whole noise
// (grid_noise.h), and divided by training.batch_size it makes one step of the job's optimiser. The
// divisor is that public number and never the count of sampled rows, which would itself need noise.
// With placement distributed the round is one step of the strategy: the node samples once and
// returns the negative sum, to which the caller adds this node's share of the noise.
//
// Sampling, dropout's masks, rounding and noise draw from TrainTask::random; the task's seed, which
// the coordinator knows, is not used. Clipping leaves room for its own rounding: one record moves a
// sum by at most privacy.clip_norm.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/ml/fused_optimizer.h"
#include "common/ml/grid_noise.h"
#include "common/ml/private_gradient.h"
#include "common/ml/trainer.h"
#include "common/privacy/poisson_sampling.h"

namespace skerry {

class PrivateTrainer {
 public:
  // `parameter_count` is that of the job's model. Fails with kInvalidArgument as PrivateGradient,
  // PoissonSampling and GridNoise do, or with placement agent if the noise multiplier is not known.
  static absl::StatusOr<std::unique_ptr<PrivateTrainer>> Create(const JobConfig& job, int threads,
                                                                size_t parameter_count);

  // As Trainer::Train. A node without rows adds noise like any other, so that nobody learns it.
  absl::StatusOr<TrainResult> Train(const TrainTask& task, const TrainObserver& observer);

 private:
  PrivateTrainer(const JobConfig& job, std::unique_ptr<PrivateGradient> gradient,
                 PoissonSampling sampling);

  absl::StatusOr<std::vector<double>> SampledSum(const TrainTask& task,
                                                 std::span<const float> weights);
  absl::StatusOr<TrainResult> OneSum(const TrainTask& task, const TrainObserver& observer);
  absl::StatusOr<TrainResult> Steps(const TrainTask& task, const TrainObserver& observer);

  double clip_norm_;
  double divisor_;
  uint64_t step_count_;
  OptimizerConfig optimizer_config_;
  std::unique_ptr<PrivateGradient> gradient_;
  PoissonSampling sampling_;
  std::optional<GridNoise> noise_;           // with placement agent
  std::optional<FusedOptimizer> optimizer_;  // made by the first task that needs it
};

}  // namespace skerry
