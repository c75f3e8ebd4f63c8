#include "common/ml/batch_tensors.h"

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

// Memory for `size` rows, kept if it already fits.
void Ensure(at::Tensor& memory, const std::vector<int64_t>& sizes, at::ScalarType type) {
  if (!memory.defined() || memory.sizes() != at::IntArrayRef(sizes) ||
      memory.scalar_type() != type) {
    memory = at::empty(sizes, type);
  }
}

}  // namespace

absl::Status CheckLoss(const Network& network, LossName loss) {
  const std::vector<int64_t>& output = network.output();
  if (output.size() != 1) {
    return absl::InvalidArgumentError(
        fmt::format("the model's output must have one dimension, got [{}]: end with flatten or "
                    "linear",
                    fmt::join(output, ", ")));
  }
  if (loss == LossName::kBce && output[0] != 1) {
    return absl::InvalidArgumentError(
        fmt::format("loss bce needs a model with one output, got {}", output[0]));
  }
  return absl::OkStatus();
}

absl::Status CheckData(const Network& network, LossName loss, const Dataset& dataset) {
  int64_t input_size = 1;
  for (const int64_t size : network.input()) input_size *= size;
  if (dataset.example_size() != static_cast<size_t>(input_size)) {
    return absl::InvalidArgumentError(
        fmt::format("the model takes rows of shape [{}], the data has [{}]",
                    fmt::join(network.input(), ", "), fmt::join(dataset.example_shape(), ", ")));
  }
  const bool wants_classes = loss == LossName::kCrossEntropy;
  const bool fits = wants_classes
                        ? dataset.has_classes()
                        : !dataset.has_classes() &&
                              dataset.target_size() == static_cast<size_t>(network.output()[0]);
  if (!fits) return absl::InvalidArgumentError("the data's labels were read for another loss");
  return absl::OkStatus();
}

at::Tensor LossOf(LossName loss, const at::Tensor& output, const at::Tensor& labels,
                  Reduction reduction) {
  const bool is_mean = reduction == Reduction::kMean;
  const int64_t kind = is_mean ? at::Reduction::Mean : at::Reduction::Sum;
  switch (loss) {
    case LossName::kCrossEntropy:
      return at::cross_entropy_loss(output, labels, {}, kind);
    case LossName::kBce:
      return at::binary_cross_entropy_with_logits(output, labels, {}, {}, kind);
    case LossName::kMse: {
      const at::Tensor value = at::mse_loss(output, labels, kind);
      return is_mean ? value : value / output.size(1);
    }
  }
  SKERRY_ASSERT(false);
}

void BatchTensors::Fill(const Dataset& dataset, std::span<const uint32_t> rows) {
  SKERRY_ASSERT(rows.size() <= size_);
  const auto capacity = static_cast<int64_t>(size_);
  const auto count = static_cast<int64_t>(rows.size());
  Ensure(example_memory_, {capacity, static_cast<int64_t>(dataset.example_size())}, at::kFloat);
  dataset.GatherExamples(rows, example_memory_.data_ptr<float>());
  if (dataset.has_classes()) {
    Ensure(label_memory_, {capacity}, at::kLong);
    dataset.GatherClasses(rows, label_memory_.data_ptr<int64_t>());
  } else {
    Ensure(label_memory_, {capacity, static_cast<int64_t>(dataset.target_size())}, at::kFloat);
    dataset.GatherTargets(rows, label_memory_.data_ptr<float>());
  }
  examples_ = example_memory_.narrow(0, 0, count).to(device_);
  labels_ = label_memory_.narrow(0, 0, count).to(device_);
}

}  // namespace skerry
