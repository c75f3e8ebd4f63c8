// What attention layers remember of the tokens so far: for each layer and token one row of numbers.
// Grouped attention keeps keys and values, [key_heads * head_dim] each; latent attention the latent
// vector and the rotated key, latent_rank + rope_dim numbers for all heads together.
//
// Used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace skerry {

enum class CacheFormat {
  kF32,
  kF16,
  kQ8,  // whole numbers -127..127 with one binary16 scale for each 16 of them: 9 bits a number
};

std::optional<CacheFormat> FindCacheFormat(std::string_view name);  // f32 | f16 | q8

class KeyValueCache {
 public:
  struct Shape {
    size_t layers = 0;
    size_t row_size = 0;  // numbers of one row
  };
  KeyValueCache(Shape shape, CacheFormat format);

  // The tokens that all layers have, and their ids.
  size_t length() const { return tokens_.size(); }
  std::span<const int64_t> tokens() const { return tokens_; }
  // Tells it that rows [length(), length() + tokens.size()) were written in every layer.
  void Append(std::span<const int64_t> tokens);
  // Forgets all but the first `length` tokens.
  void Truncate(size_t length);

  // `position` is at most the number of rows that the layer has; a row that exists is replaced.
  void Write(size_t layer, size_t position, std::span<const float> row);
  // Rows [0, count) of a layer as float32, one after the other: in place if they are kept so, else
  // in `scratch`.
  const float* Read(size_t layer, size_t count, std::vector<float>& scratch) const;

  size_t row_size() const { return shape_.row_size; }
  // Of one row.
  static uint64_t RowBytes(size_t row_size, CacheFormat format);
  // Of the rows that are in use: row bytes x layers x length.
  uint64_t bytes() const;

 private:
  Shape shape_;
  CacheFormat format_;
  std::vector<int64_t> tokens_;
  std::vector<std::vector<uint8_t>> rows_;  // of each layer
};

}  // namespace skerry
