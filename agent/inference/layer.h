// One step of a language model. A model is a list of such layers, each of which says what it takes,
// what it gives and what that costs, and runs alone: hidden states go in and come out, and what
// attention remembers is in the cache that it is handed.
//
// Used by one thread at a time, as layers keep their scratch memory.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "agent/inference/cache.h"
#include "agent/inference/router.h"

namespace skerry {

enum class StageKind { kEmbedding, kAttention, kMlp, kExperts, kHead };
std::string_view NameOf(StageKind kind);

struct LayerInfo {
  std::string name;  // of its tensors: "model.layers.3.self_attn"
  StageKind kind = StageKind::kEmbedding;
  size_t input_width = 0;   // numbers for each token; 0: the token's id
  size_t output_width = 0;  // likewise
  uint64_t weight_bytes = 0;
  uint64_t weight_bytes_token = 0;  // of those, read for one token: chosen experts, one embedding
  uint64_t multiplications = 0;     // for one token, besides those with the cache
  size_t cache_row_size = 0;        // numbers kept for each token
};

// What a test or a tool looks at on the way; may be empty.
struct LayerTrace {
  std::function<void(const LayerInfo&, std::span<const float> output)> output;
  std::function<void(const LayerInfo&, int64_t position, std::span<const RoutedExpert>)> routed;
};

struct LayerInput {
  std::span<const int64_t> tokens;  // of an embedding
  std::span<const float> values;    // [count, input_width] of the others
  size_t count = 0;
  int64_t first_position = 0;      // of the first token; the others follow it
  KeyValueCache* cache = nullptr;  // with the rows of all tokens before; attention adds its own
  const LayerTrace* trace = nullptr;
};

class Layer {
 public:
  explicit Layer(LayerInfo info) : info_(std::move(info)) {}
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  const LayerInfo& info() const { return info_; }
  // output: [count, output_width]; it may be the input's memory if the widths are equal.
  virtual void Run(const LayerInput& input, std::span<float> output) = 0;

 protected:
  LayerInfo info_;
};

}  // namespace skerry
