// A model's parameters (or an update of them) as one flat float32 buffer with its layout.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/tensor/parameter_layout.h"

namespace skerry {

class ParameterVector {
 public:
  // All zero.
  explicit ParameterVector(ParameterLayoutPtr layout)
      : layout_(std::move(layout)), values_(layout_->element_count()) {}
  // `values` must have layout->element_count() elements.
  ParameterVector(ParameterLayoutPtr layout, std::vector<float> values)
      : layout_(std::move(layout)), values_(std::move(values)) {
    SKERRY_ASSERT(values_.size() == layout_->element_count());
  }

  const ParameterLayoutPtr& layout() const { return layout_; }
  std::span<const float> values() const { return values_; }
  std::span<float> values() { return values_; }
  size_t size() const { return values_.size(); }
  // The part that belongs to layout()->tensors()[index].
  std::span<const float> tensor(size_t index) const {
    return values().subspan(layout_->offset(index), layout_->tensors()[index].element_count());
  }
  std::vector<float> TakeValues() && { return std::move(values_); }

 private:
  ParameterLayoutPtr layout_;
  std::vector<float> values_;
};

// A model that several threads and transfers read at once; never changed after it is made.
using SharedModel = std::shared_ptr<const ParameterVector>;

}  // namespace skerry
