// A language model from a folder in the Hugging Face layout: its configuration, its mapped weights
// and its layers in order. What it remembers of a text is in a KeyValueCache of the caller's.
//
// Used by one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/inference/cache.h"
#include "agent/inference/latent_attention.h"
#include "agent/inference/layer.h"
#include "agent/inference/model_config.h"
#include "agent/inference/weight_files.h"

namespace skerry {

struct LanguageModelOptions {
  LatentForm latent_form = LatentForm::kAuto;
  // Tokens for which a cache must have room, and how it keeps them; for the estimate only.
  size_t context = 0;  // 0: positions_max
  CacheFormat cache_format = CacheFormat::kF32;
  // What the model may need; 0: what the system says is available.
  uint64_t memory_bytes_max = 0;
};

class LanguageModel {
 public:
  // Fails with kResourceExhausted, with the numbers, before any weight is read if weights, cache
  // and scratch exceed the memory; with kInvalidArgument or kDataLoss, naming file and tensor, if
  // config and weights do not fit together.
  static absl::StatusOr<std::unique_ptr<LanguageModel>> Load(const std::string& folder,
                                                             const LanguageModelOptions& options);

  const LanguageModelConfig& config() const { return config_; }
  // Embedding first, head last.
  const std::vector<std::unique_ptr<Layer>>& layers() const { return layers_; }
  // Of all files.
  uint64_t weight_bytes() const { return files_.bytes(); }
  bool has_float32_weights() const { return has_float32_weights_; }

  KeyValueCache MakeCache(CacheFormat format) const;

  enum class Logits { kLast, kAll };
  // Runs the tokens behind those of the cache and adds them to it. The logits after the last token,
  // [vocabulary], or after each, [tokens, vocabulary]; valid until the next call. Fails with
  // kInvalidArgument, changing nothing, if there is no token, a token is not in the vocabulary or
  // the text would be longer than the model's positions.
  absl::StatusOr<std::span<const float>> Forward(std::span<const int64_t> tokens,
                                                 KeyValueCache& cache, Logits logits,
                                                 const LayerTrace* trace = nullptr);

 private:
  LanguageModel(LanguageModelConfig config, WeightFiles files);
  absl::Status Build(const LanguageModelOptions& options);
  void RunBlock(std::span<const int64_t> tokens, KeyValueCache& cache, const LayerTrace* trace);

  LanguageModelConfig config_;
  WeightFiles files_;
  std::deque<std::vector<float>> scales_;
  std::vector<std::unique_ptr<Layer>> layers_;
  bool has_float32_weights_ = false;
  std::vector<float> hidden_;
  std::vector<float> logits_;
};

}  // namespace skerry
