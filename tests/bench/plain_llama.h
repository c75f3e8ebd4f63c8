// Llama in plain C style: arrays of float32 and loops that the compiler may turn into vectors for
// this machine, one thread. What "the same arithmetic without a library" costs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace skerry {

struct PlainLlamaShape {
  size_t hidden = 0;
  size_t width = 0;
  size_t layers = 0;
  size_t heads = 0;
  size_t key_heads = 0;
  size_t vocabulary = 0;
  size_t positions = 0;
};

// Tensors by their Hugging Face names; the head is the embedding.
class PlainLlama {
 public:
  PlainLlama(const PlainLlamaShape& shape, std::map<std::string, std::vector<float>> tensors);
  // The logits after `token` at `position`; those before it were run already.
  const std::vector<float>& Run(size_t token, size_t position);

 private:
  PlainLlamaShape shape_;
  std::map<std::string, std::vector<float>> tensors_;
  struct Layer {
    const float* norm;
    const float* query;
    const float* key;
    const float* value;
    const float* out;
    const float* mlp_norm;
    const float* gate;
    const float* up;
    const float* down;
    std::vector<float> keys;    // [positions, key size]
    std::vector<float> values;  // likewise
  };
  std::vector<Layer> layers_;
  std::vector<float> x_, y_, q_, scores_, gated_, upper_, logits_;
};

}  // namespace skerry
