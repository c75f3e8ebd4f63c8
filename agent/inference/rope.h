// Rotary position embedding (Su et al. 2021) with the scalings of published models. Angles are
// computed in double precision and kept for the positions that were asked for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "agent/inference/model_config.h"

namespace skerry {

class Rope {
 public:
  // Which entries of a vector are rotated with each other.
  enum class Pairs {
    kHalves,      // i and i + dim / 2: Qwen2, Llama
    kNeighbours,  // 2i and 2i + 1: DeepSeek
  };

  // For vectors of `dim` entries, which is even.
  Rope(const LanguageModelConfig& config, int64_t dim, Pairs pairs);

  // Rotates `vectors` (any number of them, one after the other) to `position`, from 0.
  void Rotate(int64_t position, std::span<float> vectors);
  // Cycles a position, of entry pair i in radians.
  const std::vector<double>& frequencies() const { return frequencies_; }

 private:
  void Extend(int64_t position);

  size_t half_;
  Pairs pairs_;
  std::vector<double> frequencies_;
  double magnitude_ = 1;        // of cosine and sine
  std::vector<float> cosines_;  // [positions, half]
  std::vector<float> sines_;
};

// By what attention scores are multiplied: the root of the head's size, and with YaRN its
// correction m(mscale_all_dim)^2.
double AttentionScale(const LanguageModelConfig& config);

}  // namespace skerry
