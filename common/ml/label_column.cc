#include "common/ml/label_column.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {

size_t LabelColumn::value_count() const {
  return has_classes() ? 1 : static_cast<size_t>(spec_.output_count);
}

size_t LabelColumn::row_count() const {
  return has_classes() ? classes_.size() : targets_.size() / value_count();
}

absl::Status LabelColumn::Add(std::span<const double> values) {
  if (values.size() != value_count()) {
    return absl::InvalidArgumentError(
        fmt::format("expected {} label values a row, got {}", value_count(), values.size()));
  }
  for (const double value : values) {
    switch (spec_.loss) {
      case LossName::kCrossEntropy:
        // Written so that NaN fails too.
        if (!(value >= 0 && value < static_cast<double>(spec_.output_count)) ||
            value != std::floor(value)) {
          return absl::InvalidArgumentError(
              fmt::format("label must be a class from 0 to {} (the model has {} outputs), got {}",
                          spec_.output_count - 1, spec_.output_count, value));
        }
        break;
      case LossName::kBce:
        if (value != 0.0 && value != 1.0) {
          return absl::InvalidArgumentError(
              fmt::format("label must be 0 or 1 for loss bce, got {}", value));
        }
        break;
      case LossName::kMse:
        if (!std::isfinite(static_cast<float>(value))) {
          return absl::InvalidArgumentError(
              fmt::format("label must be a finite number for loss mse, got {}", value));
        }
        break;
    }
  }
  for (const double value : values) {
    if (has_classes()) {
      classes_.push_back(static_cast<uint32_t>(value));
    } else {
      targets_.push_back(static_cast<float>(value));
    }
  }
  return absl::OkStatus();
}

std::vector<uint32_t> LabelColumn::Keys() const {
  if (has_classes()) return classes_;
  // The first target decides; further ones would only break ties.
  std::vector<float> firsts(row_count());
  for (size_t row = 0; row < firsts.size(); ++row) firsts[row] = targets_[row * value_count()];
  std::vector<float> distinct = firsts;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::vector<uint32_t> keys(firsts.size());
  for (size_t row = 0; row < keys.size(); ++row) {
    const auto found = std::lower_bound(distinct.begin(), distinct.end(), firsts[row]);
    keys[row] = static_cast<uint32_t>(found - distinct.begin());
  }
  return keys;
}

}  // namespace skerry
