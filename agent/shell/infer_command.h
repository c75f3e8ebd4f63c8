// `skerry-agent infer`, from options to exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/inference/generator.h"

namespace skerry {

struct InferOptions {
  std::string model;                  // folder
  std::optional<std::string> prompt;  // text, for the model's tokenizer; else token_ids
  std::vector<int64_t> token_ids;
  size_t tokens_max = 0;
  SamplingOptions sampling;
  std::optional<uint64_t> seed;    // none: drawn
  std::vector<std::string> stops;  // strings that end the text; with a prompt of text only
  bool ignores_end = false;
  std::optional<CacheFormat> cache_format;  // none: f32 for float32 weights, else f16
  std::string logits_out;                   // a safetensors file; empty: none
  int threads = 1;                          // of the matrix products of prompts
  bool is_json = false;
};

// "1,5,9". Fails with kInvalidArgument.
absl::StatusOr<std::vector<int64_t>> ParseTokenIds(const std::string& text);

// Exit codes: 0 done, 1 failed, 2 the request or the model's files are wrong.
int InferCommand(const InferOptions& options);

}  // namespace skerry
