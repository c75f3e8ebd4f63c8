#include "common/ml/dataset.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"

namespace skerry {

Dataset::Dataset(Contents contents) : contents_(std::move(contents)) {
  example_size_ = 1;
  for (const int64_t size : contents_.example_shape) example_size_ *= static_cast<size_t>(size);
  SKERRY_ASSERT(example_size_ > 0 && contents_.target_size > 0);
  const size_t value_count =
      std::visit([](const auto& values) { return values.size(); }, contents_.features);
  row_count_ = value_count / example_size_;
  SKERRY_ASSERT(value_count == row_count_ * example_size_);
  SKERRY_ASSERT(has_classes() ? contents_.classes.size() == row_count_ : contents_.classes.empty());
  SKERRY_ASSERT(has_classes() || contents_.targets.size() == row_count_ * contents_.target_size);
}

Dataset Dataset::WithFeatures(std::vector<int64_t> example_shape, std::vector<float> values) const {
  return Dataset({.example_shape = std::move(example_shape),
                  .features = std::move(values),
                  .classes = contents_.classes,
                  .targets = contents_.targets,
                  .target_size = contents_.target_size});
}

size_t Dataset::memory_bytes() const {
  const size_t feature_bytes = std::visit(
      [](const auto& values) { return values.size() * sizeof(values[0]); }, contents_.features);
  return feature_bytes + contents_.classes.size() * sizeof(uint32_t) +
         contents_.targets.size() * sizeof(float);
}

void Dataset::GatherExamples(std::span<const uint32_t> rows, float* to) const {
  if (const auto* pixels = std::get_if<std::vector<uint8_t>>(&contents_.features)) {
    const auto mean = static_cast<float>(contents_.normalization.mean);
    const auto deviation = static_cast<float>(contents_.normalization.std);
    for (const uint32_t row : rows) {
      SKERRY_ASSERT(row < row_count_);
      const uint8_t* from = pixels->data() + row * example_size_;
      for (size_t i = 0; i < example_size_; ++i) {
        to[i] = (static_cast<float>(from[i]) / 255.0f - mean) / deviation;
      }
      to += example_size_;
    }
    return;
  }
  const auto& values = std::get<std::vector<float>>(contents_.features);
  for (const uint32_t row : rows) {
    SKERRY_ASSERT(row < row_count_);
    to = std::copy_n(values.data() + row * example_size_, example_size_, to);
  }
}

void Dataset::GatherClasses(std::span<const uint32_t> rows, int64_t* to) const {
  SKERRY_ASSERT(has_classes());
  for (const uint32_t row : rows) {
    SKERRY_ASSERT(row < row_count_);
    *to++ = contents_.classes[row];
  }
}

void Dataset::GatherTargets(std::span<const uint32_t> rows, float* to) const {
  SKERRY_ASSERT(!has_classes());
  for (const uint32_t row : rows) {
    SKERRY_ASSERT(row < row_count_);
    to = std::copy_n(contents_.targets.data() + row * contents_.target_size, contents_.target_size,
                     to);
  }
}

}  // namespace skerry
