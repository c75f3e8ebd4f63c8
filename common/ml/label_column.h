// The labels of all rows of a source, checked against what the loss can use while they are read.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"

namespace skerry {

// What the model and its loss expect of a label.
struct LabelSpec {
  LossName loss = LossName::kCrossEntropy;
  int64_t output_count = 10;  // cross_entropy: classes; bce, mse: targets a row
};

class LabelColumn {
 public:
  explicit LabelColumn(const LabelSpec& spec) : spec_(spec) {}

  // Values a row's label has.
  size_t value_count() const;

  // Adds the label of the next row. Fails with kInvalidArgument, and adds nothing, if there are not
  // value_count() values or one is no class index below output_count (cross_entropy), not 0 or 1
  // (bce), or not finite. The message names neither file nor row; the reader knows those.
  absl::Status Add(std::span<const double> values);

  size_t row_count() const;
  bool has_classes() const { return spec_.loss == LossName::kCrossEntropy; }
  const std::vector<uint32_t>& classes() const { return classes_; }
  const std::vector<float>& targets() const { return targets_; }

  // Numbers that are equal for equal labels and ordered like them; what partitioners work on.
  std::vector<uint32_t> Keys() const;

 private:
  LabelSpec spec_;
  std::vector<uint32_t> classes_;
  std::vector<float> targets_;
};

}  // namespace skerry
