// Names and shapes of a model's parameters and where each lies in one flat float32 buffer. The
// only form in which the core (transport, round, strategies, storage) sees a model.
//
// A layout is immutable and shared; two layouts are equal when names, shapes and order are equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace skerry {

struct TensorShape {
  std::string name;            // 1 to 256 characters, unique in a layout
  std::vector<int64_t> sizes;  // each at least 1; empty means a scalar
  size_t element_count() const;
  bool operator==(const TensorShape&) const = default;
};

class ParameterLayout {
 public:
  // Fails with kInvalidArgument on a repeated or empty name, a size below 1, more than 2^31 - 1
  // elements in all, or more than 100,000 tensors.
  static absl::StatusOr<std::shared_ptr<const ParameterLayout>> Create(
      std::vector<TensorShape> tensors);

  const std::vector<TensorShape>& tensors() const { return tensors_; }
  // First element of tensors()[index] in the flat buffer.
  size_t offset(size_t index) const { return offsets_[index]; }
  // Parameters in all.
  size_t element_count() const { return element_count_; }

  bool operator==(const ParameterLayout& other) const { return tensors_ == other.tensors_; }

 private:
  ParameterLayout() = default;
  std::vector<TensorShape> tensors_;
  std::vector<size_t> offsets_;
  size_t element_count_ = 0;
};

using ParameterLayoutPtr = std::shared_ptr<const ParameterLayout>;

}  // namespace skerry
