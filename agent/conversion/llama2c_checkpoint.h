// Checkpoints of llama2.c, version 0 (github.com/karpathy/llama2.c, export.py `legacy_export`):
// seven int32 (dim, hidden, layers, heads, kv_heads, vocab, seq; vocab is negative if the
// classifier has weights of its own), then float32 tensors without names.
//
// Little-endian. Every size is checked against the file's length before anything is allocated; a
// file that is too short or too long is refused with both numbers.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/tensor/parameter_vector.h"

namespace skerry {

struct Llama2cShape {
  int64_t dim = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t vocab = 0;
  int64_t context = 0;
  bool has_own_classifier = false;

  int64_t head_size() const { return dim / heads; }
};

struct Llama2cCheckpoint {
  Llama2cShape shape;
  // Under Hugging Face's names of a Llama model. Rows of q_proj and k_proj are as its rotation
  // wants them: the first halves of all pairs, then the second halves, where llama2.c has the pairs
  // side by side.
  ParameterVector parameters;
};

// Fails with kNotFound, or with kInvalidArgument on a header that makes no sense, another length
// than the header asks for, or a weight that is not finite, naming the tensor.
absl::StatusOr<Llama2cCheckpoint> ReadLlama2cCheckpoint(const std::string& path);

}  // namespace skerry
