// Labelled examples in memory, as compact as they were on disk: pixels stay bytes until they are
// put into a batch. Immutable, so all workers of a process share one; any thread may read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "common/config/job_config.h"

namespace skerry {

// Bytes are pixels and become (value / 255 - mean) / std in a batch; floats are taken as they are.
using Features = std::variant<std::vector<uint8_t>, std::vector<float>>;

class Dataset {
 public:
  struct Contents {
    std::vector<int64_t> example_shape;  // of one row, for example {1, 28, 28}
    Features features;                   // row after row
    std::vector<uint32_t> classes;       // one a row, or empty if the labels are targets
    std::vector<float> targets;          // target_size a row, or empty if they are classes
    size_t target_size = 1;
    Normalization normalization{};  // of bytes
  };
  // The lengths in `contents` must agree.
  explicit Dataset(Contents contents);

  size_t row_count() const { return row_count_; }
  const std::vector<int64_t>& example_shape() const { return contents_.example_shape; }
  // Values of one row.
  size_t example_size() const { return example_size_; }
  bool has_classes() const { return contents_.targets.empty(); }
  size_t target_size() const { return contents_.target_size; }
  // The same labels for other features, `example_shape` floats a row.
  Dataset WithFeatures(std::vector<int64_t> example_shape, std::vector<float> values) const;
  // What the rows occupy.
  size_t memory_bytes() const;

  // Write the given rows one after the other; `to` must have room for them. Rows must exist, and
  // the labels asked for must be of the dataset's kind.
  void GatherExamples(std::span<const uint32_t> rows, float* to) const;
  void GatherClasses(std::span<const uint32_t> rows, int64_t* to) const;
  void GatherTargets(std::span<const uint32_t> rows, float* to) const;

 private:
  Contents contents_;
  size_t row_count_ = 0;
  size_t example_size_ = 0;
};

using SharedDataset = std::shared_ptr<const Dataset>;

}  // namespace skerry
