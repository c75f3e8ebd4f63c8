// A batch on its way into the network, in tensors that are reused from batch to batch, and the
// losses. Includes LibTorch; inner header of trainer.cc and evaluator.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <torch/torch.h>

#include "absl/status/status.h"
#include "common/config/job_config.h"
#include "common/ml/dataset.h"
#include "common/ml/network.h"

namespace skerry {

// Fails with kInvalidArgument if the loss cannot take the network's output: cross_entropy and mse
// need one dimension, bce one value.
absl::Status CheckLoss(const Network& network, LossName loss);

// Fails with kInvalidArgument if the dataset's rows or labels are not what network and loss take.
absl::Status CheckData(const Network& network, LossName loss, const Dataset& dataset);

enum class Reduction { kMean, kSum };
// Sum: over the examples (mse: of the mean over an example's outputs). Mean: that by their number.
at::Tensor LossOf(LossName loss, const at::Tensor& output, const at::Tensor& labels,
                  Reduction reduction);

class BatchTensors {
 public:
  BatchTensors(const at::Device& device, size_t batch_size) : device_(device), size_(batch_size) {}

  // Fills the tensors with `rows`, at most batch_size of them. They stay valid until the next call.
  void Fill(const Dataset& dataset, std::span<const uint32_t> rows);

  const at::Tensor& examples() const { return examples_; }  // rows x example_size
  const at::Tensor& labels() const { return labels_; }      // rows, or rows x target_size

 private:
  at::Device device_;
  size_t size_;
  at::Tensor example_memory_;  // on the CPU, batch_size rows
  at::Tensor label_memory_;
  at::Tensor examples_;
  at::Tensor labels_;
};

}  // namespace skerry
