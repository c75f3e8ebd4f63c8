// Continues token sequences with a language model. Keeps the cache of the last sequence, so that a
// prompt that begins like it pays for the rest only.
//
// Used by one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/inference/language_model.h"
#include "agent/inference/sampler.h"

namespace skerry {

struct GenerationRequest {
  std::vector<int64_t> prompt;  // at least one token
  size_t tokens_max = 0;
  SamplingOptions sampling;
  uint64_t seed = 0;          // of sampling
  bool ignores_end = false;   // goes on after a token that ends the text
  bool keeps_logits = false;  // in the result; the whole prompt is then computed
  // Called with each token as it is chosen, also one that ends the text; false stops. May be empty.
  std::function<bool(int64_t token)> on_token;
};

enum class FinishReason { kLength, kEndOfText, kStopped };

struct Generation {
  std::vector<int64_t> tokens;  // without one that ended the text
  FinishReason finish_reason = FinishReason::kLength;
  size_t reused_tokens = 0;          // of the prompt, from the cache
  std::vector<float> prompt_logits;  // [prompt, vocabulary]
  std::vector<float> step_logits;    // [tokens, vocabulary]: those that chose each
};

class Generator {
 public:
  // `model` must outlive it.
  Generator(LanguageModel& model, CacheFormat format)
      : model_(model), cache_(model.MakeCache(format)) {}

  // Fails with kInvalidArgument if the request is out of range or does not fit into the model's
  // positions.
  absl::StatusOr<Generation> Generate(const GenerationRequest& request);

  const KeyValueCache& cache() const { return cache_; }

 private:
  absl::Status Check(const GenerationRequest& request) const;

  LanguageModel& model_;
  KeyValueCache cache_;
};

}  // namespace skerry
