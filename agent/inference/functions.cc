#include "agent/inference/functions.h"

#include <algorithm>
#include <cmath>

#include "agent/inference/dot.h"
#include "common/base/status.h"

namespace skerry {

void Normalize(std::span<const float> from, std::span<const float> weight, double epsilon,
               std::span<float> rows) {
  const size_t width = weight.size();
  SKERRY_ASSERT(from.size() == rows.size() && rows.size() % width == 0);
  for (size_t begin = 0; begin < rows.size(); begin += width) {
    const float square = Dot(from.data() + begin, from.data() + begin, width);
    const float scale =
        1 / std::sqrt(square / static_cast<float>(width) + static_cast<float>(epsilon));
    for (size_t i = 0; i < width; ++i) rows[begin + i] = weight[i] * (from[begin + i] * scale);
  }
}

void Normalize(std::span<const float> weight, double epsilon, std::span<float> rows) {
  Normalize(rows, weight, epsilon, rows);
}

void Softmax(std::span<float> values) {
  const float most = *std::max_element(values.begin(), values.end());
  float sum = 0;
  for (float& value : values) {
    value = std::exp(value - most);
    sum += value;
  }
  const float scale = 1 / sum;
  for (float& value : values) value *= scale;
}

void GateWithSilu(std::span<const float> up, std::span<float> gate) {
  for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

void AddBias(std::span<const float> bias, std::span<float> rows) {
  if (bias.empty()) return;
  for (size_t begin = 0; begin < rows.size(); begin += bias.size()) {
    Add(bias, rows.subspan(begin, bias.size()));
  }
}

void Add(std::span<const float> from, std::span<float> to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace skerry
