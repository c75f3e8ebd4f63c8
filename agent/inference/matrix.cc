#include "agent/inference/matrix.h"

#include <algorithm>

#include "agent/inference/dense_product.h"
#include "agent/inference/dot.h"
#include "common/base/status.h"

namespace skerry {
namespace {

// From so many tokens on a library's matrix product beats one product a token. Up to there rows are
// read four at a time, as DotRows wants them.
constexpr size_t kDenseCountMin = 16;
constexpr size_t kRowsAtOnce = 4;
// Floats of a panel for the library's product, 4 MB: each call wakes the library's threads, so few
// and large ones are better.
constexpr size_t kPanelFloats = 1 << 20;

size_t PanelRows(size_t columns, size_t count) {
  if (count < kDenseCountMin) return kRowsAtOnce;
  const size_t rows = std::max<size_t>(kPanelFloats / columns, 16);
  return rows / kRowsAtOnce * kRowsAtOnce;
}

// Of the thread, so that no product allocates.
std::vector<float>& Scratch() {
  thread_local std::vector<float> scratch;
  return scratch;
}

}  // namespace

Matrix::Matrix(NumberFormat format, const void* data, size_t rows, size_t columns,
               BlockScales scales)
    : format_(format),
      data_(static_cast<const uint8_t*>(data)),
      rows_(rows),
      columns_(columns),
      scales_(scales) {}

Matrix Matrix::Rows(size_t first, size_t count) const {
  SKERRY_ASSERT(first + count <= rows_);
  Matrix part = *this;
  part.first_row_ += first;
  part.rows_ = count;
  return part;
}

void Matrix::ReadRow(size_t row, std::span<float> out) const {
  SKERRY_ASSERT(row < rows_ && out.size() == columns_);
  const size_t stored_row = first_row_ + row;
  ReadNumbers(format_, data_, stored_row * columns_, out);
  if (scales_.values == nullptr) return;
  const size_t block_count = (columns_ + scales_.block_columns - 1) / scales_.block_columns;
  const float* scale = scales_.values + stored_row / scales_.block_rows * block_count;
  for (size_t begin = 0; begin < columns_; begin += scales_.block_columns, ++scale) {
    const size_t end = std::min(begin + scales_.block_columns, columns_);
    for (size_t i = begin; i < end; ++i) out[i] *= *scale;
  }
}

const float* Matrix::Panel(size_t first, size_t count, std::vector<float>& scratch) const {
  if (format_ == NumberFormat::kF32) {
    return reinterpret_cast<const float*>(data_) + (first_row_ + first) * columns_;
  }
  if (scratch.size() < count * columns_) scratch.resize(count * columns_);
  for (size_t i = 0; i < count; ++i) {
    ReadRow(first + i, {scratch.data() + i * columns_, columns_});
  }
  return scratch.data();
}

void Matrix::Multiply(std::span<const float> x, size_t count, std::span<float> y) const {
  SKERRY_ASSERT(x.size() == count * columns_ && y.size() == count * rows_);
  const bool is_dense = count >= kDenseCountMin;
  // Whatever is stored as float32 needs no panels for single tokens; the sums are the same.
  const size_t panel_rows =
      !is_dense && format_ == NumberFormat::kF32 ? rows_ : PanelRows(columns_, count);
  for (size_t first = 0; first < rows_; first += panel_rows) {
    const size_t some = std::min(panel_rows, rows_ - first);
    const float* const panel = Panel(first, some, Scratch());
    if (is_dense) {
      DenseProduct({.x = x.data(), .count = count, .columns = columns_},
                   {.rows = panel, .row_count = some}, {y.data() + first, rows_});
      continue;
    }
    for (size_t i = 0; i < count; ++i) {
      DotRows(x.data() + i * columns_, panel, columns_, some, columns_,
              y.data() + i * rows_ + first);
    }
  }
}

void Matrix::SumRows(std::span<const float> weights, std::span<float> y) const {
  SKERRY_ASSERT(weights.size() == rows_ && y.size() == columns_);
  std::fill(y.begin(), y.end(), 0.0f);
  for (size_t row = 0; row < rows_; ++row) {
    AddScaled(weights[row], Panel(row, 1, Scratch()), columns_, y.data());
  }
}

}  // namespace skerry
