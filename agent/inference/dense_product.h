// LibTorch's matrix product on plain arrays.
#pragma once

#include <cstddef>

namespace skerry {

struct DenseInput {
  const float* x = nullptr;  // [count, columns]
  size_t count = 0;
  size_t columns = 0;
};
struct DenseRows {
  const float* rows = nullptr;  // [row_count, columns]
  size_t row_count = 0;
};
struct DenseOutput {
  float* y = nullptr;  // [count, row_count], each `stride` floats after the one before
  size_t stride = 0;
};

// y = x times rows, transposed.
void DenseProduct(const DenseInput& input, const DenseRows& rows, const DenseOutput& output);

}  // namespace skerry
