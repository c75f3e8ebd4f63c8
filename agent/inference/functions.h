// The small functions between the matrix products.
#pragma once

#include <span>

namespace skerry {

// RMSNorm (Zhang and Sennrich 2019) of each row of `rows`, in place; a row has weight.size()
// numbers.
void Normalize(std::span<const float> weight, double epsilon, std::span<float> rows);
// The same, from `from` to `rows`.
void Normalize(std::span<const float> from, std::span<const float> weight, double epsilon,
               std::span<float> rows);

// Exponentials that sum to 1, in place. Not empty.
void Softmax(std::span<float> values);

// gate[i] = gate[i] * sigmoid(gate[i]) * up[i].
void GateWithSilu(std::span<const float> up, std::span<float> gate);

// Adds `bias`, if it is not empty, to each row of `rows`.
void AddBias(std::span<const float> bias, std::span<float> rows);

void Add(std::span<const float> from, std::span<float> to);

}  // namespace skerry
