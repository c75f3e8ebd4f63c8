// How good a model is on some rows. Without LibTorch in the header.
//
// Reads the shared model in place, so memory beyond it is one batch's activations, a few counters
// and, for bce, one score a row. Any thread; blocks while it computes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/ml/compute.h"
#include "common/ml/dataset.h"
#include "common/tensor/parameter_vector.h"

namespace skerry {

struct EvaluationResult {
  uint64_t example_count = 0;
  double loss = 0.0;               // mean over the examples; may be infinite or NaN
  std::optional<double> accuracy;  // cross_entropy; bce (probability above one half is 1)
  std::optional<double> auc;       // bce: area under the ROC curve
  std::optional<double> f1;        // bce: of class 1; cross_entropy: mean over the classes
  std::optional<double> mae;       // mse: mean absolute error
  // What a node adds to the masked sum over nodes.
  double loss_sum = 0.0;
  uint64_t correct_count = 0;  // 0 for mse
};

struct EvaluationTask {
  SharedModel model;
  SharedDataset dataset;
  std::span<const uint32_t> rows;
  std::function<bool()> is_cancelled;  // may be empty; asked between batches
};

// Fails with kInvalidArgument if model, data and loss do not go together or there are no rows,
// kCancelled, or kResourceExhausted or kInternal if LibTorch fails.
absl::StatusOr<EvaluationResult> Evaluate(const JobConfig& job, const ComputeConfig& compute,
                                          const EvaluationTask& task);

// All rows of `dataset`.
absl::StatusOr<EvaluationResult> Evaluate(const JobConfig& job, const ComputeConfig& compute,
                                          SharedModel model, SharedDataset dataset);

}  // namespace skerry
