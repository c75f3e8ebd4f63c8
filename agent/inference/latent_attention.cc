#include "agent/inference/latent_attention.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/inference/dot.h"
#include "agent/inference/functions.h"
#include "common/base/status.h"

namespace skerry {
namespace {

// The published code builds these two norms without rms_norm_eps, with the class's default.
constexpr double kInnerEpsilon = 1e-6;
// kAuto: from so many new tokens on, expanding all latents costs less than absorbing each query.
constexpr size_t kNaiveCountMin = 8;

const LatentAttentionConfig& Attention(const LanguageModelConfig& config) {
  return std::get<LatentAttentionConfig>(config.attention);
}

std::string NameOf(int64_t layer) { return fmt::format("model.layers.{}.self_attn", layer); }

}  // namespace

LatentAttentionLayer::LatentAttentionLayer(const LanguageModelConfig& config, int64_t layer,
                                           LatentForm form, WeightReader& weights)
    : Layer({.name = NameOf(layer),
             .kind = StageKind::kAttention,
             .input_width = static_cast<size_t>(config.hidden),
             .output_width = static_cast<size_t>(config.hidden)}),
      index_(static_cast<size_t>(layer)),
      heads_(static_cast<size_t>(config.heads)),
      config_(Attention(config)),
      plain_dim_(static_cast<size_t>(config_.plain_dim)),
      rope_dim_(static_cast<size_t>(config_.rope_dim)),
      value_dim_(static_cast<size_t>(config_.value_dim)),
      latent_rank_(static_cast<size_t>(config_.latent_rank)),
      epsilon_(config.norm_epsilon),
      scale_(static_cast<float>(AttentionScale(config))),
      form_(form),
      rope_(config, config_.rope_dim, Rope::Pairs::kNeighbours),
      norm_(weights.Vector(fmt::format("model.layers.{}.input_layernorm.weight", layer),
                           config.hidden)) {
  const std::string name = NameOf(layer);
  const int64_t query_size = config.heads * (config_.plain_dim + config_.rope_dim);
  if (config_.query_rank) {
    query_a_ = weights.Weight(name + ".q_a_proj.weight", *config_.query_rank, config.hidden);
    query_norm_ = weights.Vector(name + ".q_a_layernorm.weight", *config_.query_rank);
    query_b_ = weights.Weight(name + ".q_b_proj.weight", query_size, *config_.query_rank);
  } else {
    query_b_ = weights.Weight(name + ".q_proj.weight", query_size, config.hidden);
  }
  const int64_t row_size = config_.latent_rank + config_.rope_dim;
  latent_ = weights.Weight(name + ".kv_a_proj_with_mqa.weight", row_size, config.hidden);
  latent_norm_ = weights.Vector(name + ".kv_a_layernorm.weight", config_.latent_rank);
  expand_ =
      weights.Weight(name + ".kv_b_proj.weight",
                     config.heads * (config_.plain_dim + config_.value_dim), config_.latent_rank);
  out_ = weights.Weight(name + ".o_proj.weight", config.hidden, config.heads * config_.value_dim);
  if (config_.has_bias) {
    if (config_.query_rank) {
      query_a_bias_ = weights.Vector(name + ".q_a_proj.bias", *config_.query_rank);
    }
    latent_bias_ = weights.Vector(name + ".kv_a_proj_with_mqa.bias", row_size);
    out_bias_ = weights.Vector(name + ".o_proj.bias", config.hidden);
  }
  for (const Matrix* matrix : {&query_a_, &query_b_, &latent_, &expand_, &out_}) {
    info_.weight_bytes += matrix->bytes();
    info_.multiplications += uint64_t{matrix->rows()} * matrix->columns();
  }
  info_.weight_bytes_token = info_.weight_bytes;
  info_.cache_row_size = static_cast<size_t>(row_size);
}

std::span<float> LatentAttentionLayer::Query(size_t token, size_t head) {
  const size_t size = plain_dim_ + rope_dim_;
  return std::span(queries_).subspan((token * heads_ + head) * size, size);
}

std::span<float> LatentAttentionLayer::Mixed(size_t token, size_t head) {
  return std::span(mixed_).subspan((token * heads_ + head) * value_dim_, value_dim_);
}

// Queries, rotated, and the new rows of the cache.
void LatentAttentionLayer::Project(const LayerInput& input) {
  const size_t count = input.count;
  normed_.resize(input.values.size());
  Normalize(input.values, norm_, epsilon_, normed_);
  queries_.resize(count * query_b_.rows());
  if (config_.query_rank) {
    compressed_.resize(count * query_a_.rows());
    query_a_.Multiply(normed_, count, compressed_);
    AddBias(query_a_bias_, compressed_);
    Normalize(query_norm_, kInnerEpsilon, compressed_);
    query_b_.Multiply(compressed_, count, queries_);
  } else {
    query_b_.Multiply(normed_, count, queries_);
  }
  const size_t row_size = info_.cache_row_size;
  new_rows_.resize(count * row_size);
  latent_.Multiply(normed_, count, new_rows_);
  AddBias(latent_bias_, new_rows_);
  for (size_t i = 0; i < count; ++i) {
    const int64_t position = input.first_position + static_cast<int64_t>(i);
    const std::span<float> row = std::span(new_rows_).subspan(i * row_size, row_size);
    Normalize(latent_norm_, kInnerEpsilon, row.first(latent_rank_));
    rope_.Rotate(position, row.subspan(latent_rank_));
    for (size_t head = 0; head < heads_; ++head) {
      rope_.Rotate(position, Query(i, head).subspan(plain_dim_));
    }
    input.cache->Write(index_, static_cast<size_t>(position), row);
  }
}

void LatentAttentionLayer::AttendAbsorbed(size_t count, size_t first, const float* rows) {
  const size_t row_size = info_.cache_row_size;
  const size_t head_rows = plain_dim_ + value_dim_;
  absorbed_.resize(row_size);
  mixed_latent_.resize(latent_rank_);
  scores_.resize(std::max(scores_.size(), first + count));
  for (size_t head = 0; head < heads_; ++head) {
    const Matrix key_rows = expand_.Rows(head * head_rows, plain_dim_);
    const Matrix value_rows = expand_.Rows(head * head_rows + plain_dim_, value_dim_);
    for (size_t i = 0; i < count; ++i) {
      const std::span<float> query = Query(i, head);
      key_rows.SumRows(query.first(plain_dim_), std::span(absorbed_).first(latent_rank_));
      std::ranges::copy(query.subspan(plain_dim_),
                        absorbed_.begin() + static_cast<std::ptrdiff_t>(latent_rank_));
      const std::span<float> scores = std::span(scores_).first(first + i + 1);
      DotRows(absorbed_.data(), rows, row_size, scores.size(), row_size, scores.data());
      for (float& score : scores) score *= scale_;
      Softmax(scores);
      std::fill(mixed_latent_.begin(), mixed_latent_.end(), 0.0f);
      for (size_t at = 0; at < scores.size(); ++at) {
        AddScaled(scores[at], rows + at * row_size, latent_rank_, mixed_latent_.data());
      }
      value_rows.Multiply(mixed_latent_, 1, Mixed(i, head));
    }
  }
}

void LatentAttentionLayer::AttendNaively(size_t count, size_t first, const float* rows) {
  const size_t row_size = info_.cache_row_size;
  const size_t head_rows = plain_dim_ + value_dim_;
  const size_t length = first + count;
  latents_.resize(length * latent_rank_);
  for (size_t at = 0; at < length; ++at) {
    std::copy_n(rows + at * row_size, latent_rank_, latents_.data() + at * latent_rank_);
  }
  expanded_.resize(length * head_rows);
  scores_.resize(std::max(scores_.size(), length));
  for (size_t head = 0; head < heads_; ++head) {
    expand_.Rows(head * head_rows, head_rows).Multiply(latents_, length, expanded_);
    for (size_t i = 0; i < count; ++i) {
      const std::span<float> query = Query(i, head);
      const std::span<float> scores = std::span(scores_).first(first + i + 1);
      DotRows(query.data(), expanded_.data(), head_rows, scores.size(), plain_dim_, scores.data());
      for (size_t at = 0; at < scores.size(); ++at) {
        const float shared =
            Dot(query.data() + plain_dim_, rows + at * row_size + latent_rank_, rope_dim_);
        scores[at] = (scores[at] + shared) * scale_;
      }
      Softmax(scores);
      const std::span<float> mixed = Mixed(i, head);
      std::fill(mixed.begin(), mixed.end(), 0.0f);
      for (size_t at = 0; at < scores.size(); ++at) {
        AddScaled(scores[at], expanded_.data() + at * head_rows + plain_dim_, value_dim_,
                  mixed.data());
      }
    }
  }
}

void LatentAttentionLayer::Run(const LayerInput& input, std::span<float> output) {
  SKERRY_ASSERT(input.cache != nullptr);
  Project(input);
  const auto first = static_cast<size_t>(input.first_position);
  const float* const rows = input.cache->Read(index_, first + input.count, rows_);
  mixed_.resize(input.count * heads_ * value_dim_);
  const bool is_naive =
      form_ == LatentForm::kNaive || (form_ == LatentForm::kAuto && input.count >= kNaiveCountMin);
  if (is_naive) {
    AttendNaively(input.count, first, rows);
  } else {
    AttendAbsorbed(input.count, first, rows);
  }
  out_.Multiply(mixed_, input.count, normed_);
  AddBias(out_bias_, normed_);
  for (size_t i = 0; i < output.size(); ++i) output[i] = input.values[i] + normed_[i];
}

}  // namespace skerry
