// Attention in which several query heads share keys and values: Llama and Qwen2.
#pragma once

#include <vector>

#include "agent/inference/layer.h"
#include "agent/inference/matrix.h"
#include "agent/inference/rope.h"
#include "agent/inference/weight_reader.h"

namespace skerry {

// x + attention(norm(x)). A cache row is [keys of all key heads, rotated | their values].
class GroupedAttentionLayer : public Layer {
 public:
  GroupedAttentionLayer(const LanguageModelConfig& config, int64_t layer, WeightReader& weights);
  void Run(const LayerInput& input, std::span<float> output) override;

 private:
  void Attend(std::span<const float> queries, const float* rows, size_t length,
              std::span<float> mixed);

  size_t index_;
  size_t heads_;
  size_t key_heads_;
  size_t head_dim_;
  double epsilon_;
  float scale_;
  Rope rope_;
  std::vector<float> norm_;
  Matrix query_;
  Matrix key_;
  Matrix value_;
  Matrix out_;
  std::vector<float> query_bias_;  // empty: none
  std::vector<float> key_bias_;
  std::vector<float> value_bias_;
  std::vector<float> out_bias_;
  // Scratch.
  std::vector<float> normed_;
  std::vector<float> queries_;
  std::vector<float> keys_;
  std::vector<float> values_;
  std::vector<float> row_;
  std::vector<float> rows_;
  std::vector<float> scores_;
  std::vector<float> mixed_;
};

}  // namespace skerry
