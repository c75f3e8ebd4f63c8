// The layers without memory of other tokens: embedding, gated MLP, mixture of experts, head.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/inference/layer.h"
#include "agent/inference/matrix.h"
#include "agent/inference/weight_reader.h"

namespace skerry {

// Token ids to hidden states. Ids are in the vocabulary.
class EmbeddingLayer : public Layer {
 public:
  EmbeddingLayer(const LanguageModelConfig& config, WeightReader& weights);
  void Run(const LayerInput& input, std::span<float> output) override;
  const Matrix& table() const { return table_; }

 private:
  Matrix table_;
};

// down(silu(gate(x)) * up(x)) (Shazeer 2020).
class GatedMlp {
 public:
  struct Shape {
    int64_t hidden = 0;
    int64_t width = 0;
    bool has_bias = false;
  };
  // `name`: of its tensors, without a dot at the end.
  GatedMlp(const std::string& name, Shape shape, WeightReader& weights);

  // [count, hidden] to [count, hidden].
  void Run(std::span<const float> x, size_t count, std::span<float> y);
  uint64_t bytes() const { return gate_.bytes() + up_.bytes() + down_.bytes(); }
  uint64_t multiplications() const;

 private:
  Matrix gate_;
  Matrix up_;
  Matrix down_;
  std::vector<float> gate_bias_;  // empty: none
  std::vector<float> up_bias_;
  std::vector<float> down_bias_;
  std::vector<float> gated_;  // scratch
  std::vector<float> upper_;
};

// x + mlp(norm(x)).
class MlpLayer : public Layer {
 public:
  MlpLayer(const LanguageModelConfig& config, int64_t layer, WeightReader& weights);
  void Run(const LayerInput& input, std::span<float> output) override;

 private:
  double epsilon_;
  std::vector<float> norm_;
  GatedMlp mlp_;
  std::vector<float> normed_;  // scratch
  std::vector<float> added_;
};

// x + shared(norm(x)) + the routed experts' outputs, each times its weight.
class ExpertsLayer : public Layer {
 public:
  ExpertsLayer(const LanguageModelConfig& config, int64_t layer, WeightReader& weights);
  void Run(const LayerInput& input, std::span<float> output) override;

 private:
  double epsilon_;
  ExpertConfig config_;
  std::vector<float> norm_;
  Matrix gate_;
  std::vector<float> bias_;  // empty: none
  std::vector<GatedMlp> experts_;
  std::optional<GatedMlp> shared_;
  std::vector<float> normed_;  // scratch
  std::vector<float> logits_;
  std::vector<float> gathered_;
  std::vector<float> added_;
};

// Hidden states to logits of the next token: norm, then the head or the embedding again.
class HeadLayer : public Layer {
 public:
  HeadLayer(const LanguageModelConfig& config, const Matrix& embedding, WeightReader& weights);
  void Run(const LayerInput& input, std::span<float> output) override;

 private:
  double epsilon_;
  std::vector<float> norm_;
  Matrix head_;
  std::vector<float> normed_;  // scratch
};

}  // namespace skerry
