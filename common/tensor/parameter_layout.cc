#include "common/tensor/parameter_layout.h"

#include <limits>
#include <unordered_set>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

constexpr size_t kTensorCountMax = 100'000;
constexpr size_t kNameBytesMax = 256;
constexpr size_t kElementCountMax = std::numeric_limits<int32_t>::max();

}  // namespace

size_t TensorShape::element_count() const {
  size_t count = 1;
  for (const int64_t size : sizes) count *= static_cast<size_t>(size);
  return count;
}

absl::StatusOr<ParameterLayoutPtr> ParameterLayout::Create(std::vector<TensorShape> tensors) {
  if (tensors.size() > kTensorCountMax) {
    return absl::InvalidArgumentError(fmt::format("a model may have {} tensors at most, got {}",
                                                  kTensorCountMax, tensors.size()));
  }
  auto layout = std::shared_ptr<ParameterLayout>(new ParameterLayout());
  std::unordered_set<std::string> names;
  size_t total = 0;
  for (const TensorShape& tensor : tensors) {
    if (tensor.name.empty() || tensor.name.size() > kNameBytesMax) {
      return absl::InvalidArgumentError(fmt::format(
          "a tensor name must have 1 to {} characters, got {}", kNameBytesMax, tensor.name.size()));
    }
    if (!names.insert(tensor.name).second) {
      return absl::InvalidArgumentError(fmt::format("tensor {} appears twice", tensor.name));
    }
    size_t count = 1;
    for (const int64_t size : tensor.sizes) {
      if (size < 1 || static_cast<size_t>(size) > kElementCountMax / count) {
        return absl::InvalidArgumentError(
            fmt::format("tensor {}: sizes must be at least 1 and their product at most {}, got {}",
                        tensor.name, kElementCountMax, size));
      }
      count *= static_cast<size_t>(size);
    }
    if (count > kElementCountMax - total) {
      return absl::InvalidArgumentError(
          fmt::format("a model may have {} parameters at most", kElementCountMax));
    }
    layout->offsets_.push_back(total);
    total += count;
  }
  layout->tensors_ = std::move(tensors);
  layout->element_count_ = total;
  return ParameterLayoutPtr(std::move(layout));
}

}  // namespace skerry
