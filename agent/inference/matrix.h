// A weight matrix [rows, columns] in the format in which it is stored, and its products. Nothing is
// kept of it in float32: rows are read into a scratch of the caller's thread when they are needed.
//
// A result does not depend on the format: equal numbers give equal bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "agent/inference/number_formats.h"

namespace skerry {

// DeepSeek's F8_E4M3 weights: a value is the stored one times the scale of its block. Blocks at the
// lower and right edge are cut.
struct BlockScales {
  const float* values = nullptr;  // [ceil(rows / block_rows), ceil(columns / block_columns)]
  size_t block_rows = 0;
  size_t block_columns = 0;
};

class Matrix {
 public:
  Matrix() = default;
  // Refers to `data`, which must outlive it; likewise the scales.
  Matrix(NumberFormat format, const void* data, size_t rows, size_t columns,
         BlockScales scales = {});

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  uint64_t bytes() const { return uint64_t{rows_} * columns_ * BytesOf(format_); }
  // Rows [first, first + count).
  Matrix Rows(size_t first, size_t count) const;

  // out: columns() values of one row.
  void ReadRow(size_t row, std::span<float> out) const;
  // y [count, rows()] = x [count, columns()] times this transposed: a linear layer for `count`
  // tokens.
  void Multiply(std::span<const float> x, size_t count, std::span<float> y) const;
  // y [columns()] = the sum of the rows, each times its weight.
  void SumRows(std::span<const float> weights, std::span<float> y) const;

 private:
  // Rows [first, first + count) as float32: in place if they are stored so, else in `scratch`.
  const float* Panel(size_t first, size_t count, std::vector<float>& scratch) const;

  NumberFormat format_ = NumberFormat::kF32;
  const uint8_t* data_ = nullptr;  // of the matrix that this is a part of
  size_t first_row_ = 0;           // in it
  size_t rows_ = 0;
  size_t columns_ = 0;
  BlockScales scales_;
};

}  // namespace skerry
