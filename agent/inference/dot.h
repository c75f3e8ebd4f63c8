// The inner loops of inference: products of float32 vectors with rows of a matrix. The widest
// vector instructions that the machine has are chosen once, when the program starts.
#pragma once

#include <cstddef>

namespace skerry {

// The sum of a[i] * b[i].
float Dot(const float* a, const float* b, size_t count);

// out[r] = the product of x with row r; row r begins at `rows` + r * stride.
void DotRows(const float* x, const float* rows, size_t stride, size_t row_count, size_t count,
             float* out);

// y[i] += factor * x[i].
void AddScaled(float factor, const float* x, size_t count, float* y);

}  // namespace skerry
