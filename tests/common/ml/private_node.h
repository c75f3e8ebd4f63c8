// A node that trains with privacy, and what its clipped gradients add up to by torch::nn.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "common/ml/model.h"
#include "common/ml/trainer.h"
#include "tests/common/ml/small_data.h"
#include "tests/support/reference_model.h"
#include "tests/support/scripted_random.h"

namespace skerry {

// Noise that is lost in float's rounding.
inline constexpr double kHardlyNoise = 1e-6;

inline LayerConfig Linear(int64_t out) { return {.kind = LayerKind::kLinear, .out = out}; }

enum class Mechanism { kAgent, kDistributed, kClient };

// Every row takes part.
inline JobConfig WithPrivacy(JobConfig job, Mechanism mechanism, double clip_norm) {
  job.privacy.enabled = true;
  job.privacy.unit = mechanism == Mechanism::kClient ? PrivacyUnit::kClient : PrivacyUnit::kRecord;
  job.privacy.placement =
      mechanism == Mechanism::kAgent ? NoisePlacement::kAgent : NoisePlacement::kDistributed;
  job.privacy.clip_norm = clip_norm;
  job.privacy.noise_multiplier = kHardlyNoise;
  job.privacy.sampling.rate = 1.0;
  return job;
}

inline JobConfig SmallConvolution() {
  return LayersJob({1, 6, 6}, {{.kind = LayerKind::kConv2d, .out = 4, .kernel = 3},
                               {.kind = LayerKind::kTanh},
                               {.kind = LayerKind::kFlatten},
                               Linear(16),
                               {.kind = LayerKind::kTanh},
                               Linear(3)});
}

struct Node {
  explicit Node(JobConfig config, size_t row_count = 27)
      : job(std::move(config)),
        global(*InitialModel(job.model, 7)),
        dataset(RandomData(job, row_count)),
        rows(AllRows(*dataset)) {}

  absl::StatusOr<TrainResult> Train(RandomBits& random, uint64_t seed = 5,
                                    const TrainObserver& observer = {}) const {
    SKERRY_ASSIGN_OR_RETURN(const auto trainer, Trainer::Create(job, {}));
    return trainer->Train(
        {.global = global, .dataset = dataset, .rows = rows, .seed = seed, .random = &random},
        observer);
  }
  absl::StatusOr<TrainResult> Train() const {
    SeededRandom random(1);
    return Train(random);
  }

  JobConfig job;
  SharedModel global;
  SharedDataset dataset;
  std::vector<uint32_t> rows;
};

template <typename Number>
double NormOf(const std::vector<Number>& values) {
  double square = 0;
  for (const Number value : values) {
    square += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(square);
}

// Clips about half of the rows.
inline constexpr double kClipNorm = 2.5;

// The sum over the node's rows of min(1, C / norm) times the gradient, with torch::nn and autograd
// one row after the other.
inline std::vector<double> ReferenceSum(const Node& node, torch::nn::Sequential& module) {
  std::vector<double> sum(node.global->size());
  for (const uint32_t row : node.rows) {
    const auto one = std::span(&row, 1);
    std::vector<int64_t> sizes = node.job.model.input;
    sizes.insert(sizes.begin(), 1);
    const at::Tensor example = at::empty(sizes);
    const at::Tensor label = at::empty({1}, at::kLong);
    node.dataset->GatherExamples(one, example.data_ptr<float>());
    node.dataset->GatherClasses(one, label.data_ptr<int64_t>());
    module->zero_grad();
    ReferenceLoss(node.job.training.loss, module->forward(example), label).backward();
    std::vector<float> gradient;
    for (const at::Tensor& parameter : module->parameters()) {
      const at::Tensor values = parameter.grad().contiguous();
      gradient.insert(gradient.end(), values.data_ptr<float>(),
                      values.data_ptr<float>() + values.numel());
    }
    const double factor = std::min(1.0, node.job.privacy.clip_norm / NormOf(gradient));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += factor * static_cast<double>(gradient[i]);
  }
  return sum;
}

}  // namespace skerry
