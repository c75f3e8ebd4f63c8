// What DP-SGD (Abadi et al. 2016) adds noise to: the sum over a batch of the examples' gradients,
// each scaled down to a norm of at most `clip_norm`. The norm is that of the gradient with respect
// to all parameters together. Without LibTorch in the header.
//
// The gradients of all layers are computed for many examples at once, by rules for each kind of
// layer (layer_gradient.h, product_gradient.h); every kind that a job can name has its rule, so no
// model needs to be walked one example at a time. Always on the CPU, with float arithmetic; norms
// and sums over chunks are in double precision.
//
// Owned by one worker; the result depends on the arguments alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/ml/dataset.h"

namespace skerry {

struct PrivateGradientTask {
  std::span<const float> parameters;  // in the layout's order
  SharedDataset dataset;
  std::span<const uint32_t> rows;  // the batch: any number, also none
  double clip_norm = 1.0;          // above 0
  // Random words for dropout's masks; empty leaves dropout out. A row more or less shifts the words
  // of the rows behind it, so whoever can tell the words sees other rows move too: a guarantee
  // needs words that are secret.
  std::function<uint64_t()> dropout{};
};

// Nothing but `sum`, and that only with noise, may leave the node.
struct PrivateGradientResult {
  // Of the clipped gradients, in the layout's order. In double precision, because a sum of many is
  // rounded by more than one of them may move it in float.
  std::vector<double> sum;
  std::vector<double> norms;  // of each row's gradient before clipping
  double loss_sum = 0.0;
};

class PrivateGradient {
 public:
  // No example adds more than clip_norm (1 + 1e-6) to the sum, rounding included.
  static constexpr double kNormTolerance = 1e-6;

  // `threads` are those of ComputeConfig. Fails with kInvalidArgument if model and loss do not go
  // together.
  static absl::StatusOr<std::unique_ptr<PrivateGradient>> Create(const ModelConfig& model,
                                                                 LossName loss, int threads);
  ~PrivateGradient();
  PrivateGradient(const PrivateGradient&) = delete;
  PrivateGradient& operator=(const PrivateGradient&) = delete;

  // Memory beside the model's: 32 MiB for the activations and kept gradients of a chunk of examples
  // (or one example, if that is more), twice 640 rows of the inputs and outputs of each linear
  // layer, half a MiB of a convolution's patches, and 8 bytes a parameter. Fails with
  //   kInvalidArgument    rows, labels, parameters or clip norm do not fit
  //   kOutOfRange         an example's gradient is not a finite number, which clipping would let
  //                       through; the message does not say which
  //   kResourceExhausted, kInternal   LibTorch failed
  absl::StatusOr<PrivateGradientResult> Compute(const PrivateGradientTask& task);

  // Examples that are computed at once.
  size_t chunk_size() const;

 private:
  class Impl;
  explicit PrivateGradient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
