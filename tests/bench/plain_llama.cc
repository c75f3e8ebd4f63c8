#include "tests/bench/plain_llama.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace skerry {
namespace {

void Multiply(const float* matrix, const float* x, size_t rows, size_t columns, float* y) {
  for (size_t row = 0; row < rows; ++row) {
    float sum = 0;
    for (size_t i = 0; i < columns; ++i) sum += matrix[row * columns + i] * x[i];
    y[row] = sum;
  }
}

void Norm(const float* x, const float* weight, size_t size, float* y) {
  float square = 0;
  for (size_t i = 0; i < size; ++i) square += x[i] * x[i];
  const float scale = 1 / std::sqrt(square / static_cast<float>(size) + 1e-5f);
  for (size_t i = 0; i < size; ++i) y[i] = weight[i] * (x[i] * scale);
}

void Rotate(float* vectors, size_t count, size_t dim, size_t position) {
  for (size_t i = 0; i < dim / 2; ++i) {
    const float frequency =
        std::pow(10'000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(dim));
    const float angle = static_cast<float>(position) * frequency;
    const float cosine = std::cos(angle);
    const float sine = std::sin(angle);
    for (size_t v = 0; v < count; ++v) {
      float& a = vectors[v * dim + i];
      float& b = vectors[v * dim + i + dim / 2];
      const float first = a;
      a = first * cosine - b * sine;
      b = b * cosine + first * sine;
    }
  }
}

}  // namespace

PlainLlama::PlainLlama(const PlainLlamaShape& shape,
                       std::map<std::string, std::vector<float>> tensors)
    : shape_(shape), tensors_(std::move(tensors)) {
  const size_t key_size = shape.hidden / shape.heads * shape.key_heads;
  for (size_t i = 0; i < shape.layers; ++i) {
    const std::string name = "model.layers." + std::to_string(i) + ".";
    const auto at = [&](const char* tensor) { return tensors_.at(name + tensor).data(); };
    layers_.push_back({.norm = at("input_layernorm.weight"),
                       .query = at("self_attn.q_proj.weight"),
                       .key = at("self_attn.k_proj.weight"),
                       .value = at("self_attn.v_proj.weight"),
                       .out = at("self_attn.o_proj.weight"),
                       .mlp_norm = at("post_attention_layernorm.weight"),
                       .gate = at("mlp.gate_proj.weight"),
                       .up = at("mlp.up_proj.weight"),
                       .down = at("mlp.down_proj.weight"),
                       .keys = std::vector<float>(shape.positions * key_size),
                       .values = std::vector<float>(shape.positions * key_size)});
  }
  x_.resize(shape.hidden);
  y_.resize(shape.hidden);
  q_.resize(shape.hidden);
  scores_.resize(shape.positions);
  gated_.resize(shape.width);
  upper_.resize(shape.width);
  logits_.resize(shape.vocabulary);
}

const std::vector<float>& PlainLlama::Run(size_t token, size_t position) {
  const size_t hidden = shape_.hidden;
  const size_t dim = hidden / shape_.heads;
  const size_t key_size = dim * shape_.key_heads;
  const float* const embedding = tensors_.at("model.embed_tokens.weight").data();
  std::copy_n(embedding + token * hidden, hidden, x_.begin());
  for (Layer& layer : layers_) {
    Norm(x_.data(), layer.norm, hidden, y_.data());
    float* const key = layer.keys.data() + position * key_size;
    Multiply(layer.query, y_.data(), hidden, hidden, q_.data());
    Multiply(layer.key, y_.data(), key_size, hidden, key);
    Multiply(layer.value, y_.data(), key_size, hidden, layer.values.data() + position * key_size);
    Rotate(q_.data(), shape_.heads, dim, position);
    Rotate(key, shape_.key_heads, dim, position);
    std::fill(y_.begin(), y_.end(), 0.0f);
    for (size_t head = 0; head < shape_.heads; ++head) {
      const float* const q = q_.data() + head * dim;
      const size_t offset = head / (shape_.heads / shape_.key_heads) * dim;
      float most = -1e30f;
      for (size_t t = 0; t <= position; ++t) {
        float score = 0;
        for (size_t i = 0; i < dim; ++i) score += q[i] * layer.keys[t * key_size + offset + i];
        scores_[t] = score / std::sqrt(static_cast<float>(dim));
        most = std::max(most, scores_[t]);
      }
      float sum = 0;
      for (size_t t = 0; t <= position; ++t) sum += scores_[t] = std::exp(scores_[t] - most);
      for (size_t t = 0; t <= position; ++t) {
        const float share = scores_[t] / sum;
        for (size_t i = 0; i < dim; ++i) {
          y_[head * dim + i] += share * layer.values[t * key_size + offset + i];
        }
      }
    }
    Multiply(layer.out, y_.data(), hidden, hidden, q_.data());
    for (size_t i = 0; i < hidden; ++i) x_[i] += q_[i];
    Norm(x_.data(), layer.mlp_norm, hidden, y_.data());
    Multiply(layer.gate, y_.data(), shape_.width, hidden, gated_.data());
    Multiply(layer.up, y_.data(), shape_.width, hidden, upper_.data());
    for (size_t i = 0; i < shape_.width; ++i) {
      gated_[i] = gated_[i] / (1 + std::exp(-gated_[i])) * upper_[i];
    }
    Multiply(layer.down, gated_.data(), hidden, shape_.width, q_.data());
    for (size_t i = 0; i < hidden; ++i) x_[i] += q_[i];
  }
  Norm(x_.data(), tensors_.at("model.norm.weight").data(), hidden, y_.data());
  Multiply(embedding, y_.data(), shape_.vocabulary, hidden, logits_.data());
  return logits_;
}

}  // namespace skerry
