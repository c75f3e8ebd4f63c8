// DeepSeek's multi-head latent attention: keys and values of all heads come from one latent vector,
// which is what the cache keeps (DeepSeek-V2, section 2.1).
#pragma once

#include <optional>
#include <vector>

#include "agent/inference/layer.h"
#include "agent/inference/matrix.h"
#include "agent/inference/rope.h"
#include "agent/inference/weight_reader.h"

namespace skerry {

// Two ways to the same numbers. kNaive computes keys and values of all tokens so far from their
// latents: best for many new tokens. kAbsorbed multiplies each query by the key projection instead
// and mixes latents: best for one. kAuto takes the cheaper.
enum class LatentForm { kAuto, kNaive, kAbsorbed };

// x + attention(norm(x)). A cache row is [latent, normalised | key that all heads share, rotated].
class LatentAttentionLayer : public Layer {
 public:
  LatentAttentionLayer(const LanguageModelConfig& config, int64_t layer, LatentForm form,
                       WeightReader& weights);
  void Run(const LayerInput& input, std::span<float> output) override;

 private:
  void Project(const LayerInput& input);
  void AttendAbsorbed(size_t count, size_t first, const float* rows);
  void AttendNaively(size_t count, size_t first, const float* rows);
  // Of query `token` and `head`: [plain | rope].
  std::span<float> Query(size_t token, size_t head);
  std::span<float> Mixed(size_t token, size_t head);

  size_t index_;
  size_t heads_;
  LatentAttentionConfig config_;
  size_t plain_dim_;
  size_t rope_dim_;
  size_t value_dim_;
  size_t latent_rank_;
  double epsilon_;
  float scale_;
  LatentForm form_;
  Rope rope_;
  std::vector<float> norm_;
  Matrix query_a_;  // with a query_rank
  std::vector<float> query_norm_;
  Matrix query_b_;  // else q_proj
  Matrix latent_;   // kv_a_proj_with_mqa
  std::vector<float> latent_norm_;
  Matrix expand_;  // kv_b_proj: for each head [plain key | value]
  Matrix out_;
  std::vector<float> query_a_bias_;  // empty: none
  std::vector<float> latent_bias_;
  std::vector<float> out_bias_;
  // Scratch.
  std::vector<float> normed_;
  std::vector<float> compressed_;
  std::vector<float> queries_;
  std::vector<float> new_rows_;
  std::vector<float> rows_;
  std::vector<float> latents_;
  std::vector<float> expanded_;
  std::vector<float> absorbed_;
  std::vector<float> scores_;
  std::vector<float> mixed_latent_;
  std::vector<float> mixed_;
};

}  // namespace skerry
