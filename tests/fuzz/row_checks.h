// What holds for the rows of every reader of data sets (common/ml/row_source.h).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/ml/row_source.h"
#include "tests/fuzz/fuzz_support.h"

namespace skerry::fuzz {

struct Rows {
  std::vector<int64_t> example_shape;
  LabelledRows labelled;
  std::vector<float> values;  // bytes too, as they are

  size_t row_count() const { return labelled.labels.row_count(); }
  size_t row_size() const { return values.size() / row_count(); }
};

// Reads everything; nothing if a step refuses. Checks that there is a row, that the labels are what
// `spec` allows, that the features are finite and of the length that the shape promises, and that
// every second row read alone is what it is among all. `meter` must stay within `bound` throughout.
std::optional<Rows> ReadAll(absl::StatusOr<std::unique_ptr<RowSource>> source,
                            const LabelSpec& spec, const AllocationMeter& meter, size_t input_bytes,
                            MemoryBound bound);

// The labels a loss takes, chosen by a byte of the input.
LabelSpec SpecOf(uint8_t choice);

void CheckEqual(const Rows& a, const Rows& b);

}  // namespace skerry::fuzz
