#include "agent/inference/grouped_attention.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/inference/dot.h"
#include "agent/inference/functions.h"
#include "common/base/status.h"

namespace skerry {
namespace {

const GroupedAttentionConfig& Attention(const LanguageModelConfig& config) {
  return std::get<GroupedAttentionConfig>(config.attention);
}

std::string NameOf(int64_t layer) { return fmt::format("model.layers.{}.self_attn", layer); }

}  // namespace

GroupedAttentionLayer::GroupedAttentionLayer(const LanguageModelConfig& config, int64_t layer,
                                             WeightReader& weights)
    : Layer({.name = NameOf(layer),
             .kind = StageKind::kAttention,
             .input_width = static_cast<size_t>(config.hidden),
             .output_width = static_cast<size_t>(config.hidden)}),
      index_(static_cast<size_t>(layer)),
      heads_(static_cast<size_t>(config.heads)),
      key_heads_(static_cast<size_t>(Attention(config).key_heads)),
      head_dim_(static_cast<size_t>(Attention(config).head_dim)),
      epsilon_(config.norm_epsilon),
      scale_(static_cast<float>(AttentionScale(config))),
      rope_(config, Attention(config).head_dim, Rope::Pairs::kHalves),
      norm_(weights.Vector(fmt::format("model.layers.{}.input_layernorm.weight", layer),
                           config.hidden)) {
  const std::string name = NameOf(layer);
  const int64_t query_size = config.heads * Attention(config).head_dim;
  const int64_t key_size = Attention(config).key_heads * Attention(config).head_dim;
  query_ = weights.Weight(name + ".q_proj.weight", query_size, config.hidden);
  key_ = weights.Weight(name + ".k_proj.weight", key_size, config.hidden);
  value_ = weights.Weight(name + ".v_proj.weight", key_size, config.hidden);
  out_ = weights.Weight(name + ".o_proj.weight", config.hidden, query_size);
  if (Attention(config).has_input_bias) {
    query_bias_ = weights.Vector(name + ".q_proj.bias", query_size);
    key_bias_ = weights.Vector(name + ".k_proj.bias", key_size);
    value_bias_ = weights.Vector(name + ".v_proj.bias", key_size);
  }
  if (Attention(config).has_output_bias) {
    out_bias_ = weights.Vector(name + ".o_proj.bias", config.hidden);
  }
  info_.weight_bytes = query_.bytes() + key_.bytes() + value_.bytes() + out_.bytes();
  info_.weight_bytes_token = info_.weight_bytes;
  info_.multiplications =
      static_cast<uint64_t>(2 * config.hidden) * static_cast<uint64_t>(query_size + key_size);
  info_.cache_row_size = static_cast<size_t>(2 * key_size);
}

void GroupedAttentionLayer::Attend(std::span<const float> queries, const float* rows, size_t length,
                                   std::span<float> mixed) {
  const size_t row_size = info_.cache_row_size;
  const size_t sharing = heads_ / key_heads_;
  scores_.resize(std::max(scores_.size(), length));
  const std::span<float> scores = std::span(scores_).first(length);
  std::fill(mixed.begin(), mixed.end(), 0.0f);
  for (size_t head = 0; head < heads_; ++head) {
    const float* const keys = rows + head / sharing * head_dim_;
    const float* const values = keys + key_heads_ * head_dim_;
    DotRows(queries.data() + head * head_dim_, keys, row_size, length, head_dim_, scores.data());
    for (float& score : scores) score *= scale_;
    Softmax(scores);
    float* const out = mixed.data() + head * head_dim_;
    for (size_t i = 0; i < length; ++i) {
      AddScaled(scores[i], values + i * row_size, head_dim_, out);
    }
  }
}

void GroupedAttentionLayer::Run(const LayerInput& input, std::span<float> output) {
  SKERRY_ASSERT(input.cache != nullptr);
  const size_t count = input.count;
  const size_t query_size = heads_ * head_dim_;
  const size_t key_size = key_heads_ * head_dim_;
  normed_.resize(input.values.size());
  queries_.resize(count * query_size);
  keys_.resize(count * key_size);
  values_.resize(count * key_size);
  mixed_.resize(count * query_size);
  row_.resize(2 * key_size);
  Normalize(input.values, norm_, epsilon_, normed_);
  query_.Multiply(normed_, count, queries_);
  key_.Multiply(normed_, count, keys_);
  value_.Multiply(normed_, count, values_);
  AddBias(query_bias_, queries_);
  AddBias(key_bias_, keys_);
  AddBias(value_bias_, values_);
  const auto first = static_cast<size_t>(input.first_position);
  for (size_t i = 0; i < count; ++i) {
    const auto position = static_cast<int64_t>(first + i);
    const std::span<float> keys = std::span(keys_).subspan(i * key_size, key_size);
    rope_.Rotate(position, std::span(queries_).subspan(i * query_size, query_size));
    rope_.Rotate(position, keys);
    std::ranges::copy(keys, row_.begin());
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(i * key_size), key_size,
                row_.begin() + static_cast<std::ptrdiff_t>(key_size));
    input.cache->Write(index_, first + i, row_);
  }
  const float* const rows = input.cache->Read(index_, first + count, rows_);
  for (size_t i = 0; i < count; ++i) {
    Attend(std::span(queries_).subspan(i * query_size, query_size), rows, first + i + 1,
           std::span(mixed_).subspan(i * query_size, query_size));
  }
  out_.Multiply(mixed_, count, normed_);
  AddBias(out_bias_, normed_);
  for (size_t i = 0; i < output.size(); ++i) output[i] = input.values[i] + normed_[i];
}

}  // namespace skerry
