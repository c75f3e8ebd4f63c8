#include "agent/inference/feed_forward.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/inference/dot.h"
#include "agent/inference/functions.h"
#include "common/base/status.h"

namespace skerry {
namespace {

std::string MlpName(int64_t layer) { return fmt::format("model.layers.{}.mlp", layer); }
std::string NormName(int64_t layer) {
  return fmt::format("model.layers.{}.post_attention_layernorm.weight", layer);
}

}  // namespace

EmbeddingLayer::EmbeddingLayer(const LanguageModelConfig& config, WeightReader& weights)
    : Layer({.name = "model.embed_tokens",
             .kind = StageKind::kEmbedding,
             .input_width = 0,
             .output_width = static_cast<size_t>(config.hidden)}),
      table_(weights.Weight("model.embed_tokens.weight", config.vocabulary, config.hidden)) {
  info_.weight_bytes = table_.bytes();
  info_.weight_bytes_token = table_.bytes() / static_cast<uint64_t>(config.vocabulary);
}

void EmbeddingLayer::Run(const LayerInput& input, std::span<float> output) {
  const size_t width = info_.output_width;
  SKERRY_ASSERT(input.tokens.size() == input.count && output.size() == input.count * width);
  for (size_t i = 0; i < input.count; ++i) {
    table_.ReadRow(static_cast<size_t>(input.tokens[i]), output.subspan(i * width, width));
  }
}

GatedMlp::GatedMlp(const std::string& name, Shape shape, WeightReader& weights)
    : gate_(weights.Weight(name + ".gate_proj.weight", shape.width, shape.hidden)),
      up_(weights.Weight(name + ".up_proj.weight", shape.width, shape.hidden)),
      down_(weights.Weight(name + ".down_proj.weight", shape.hidden, shape.width)) {
  if (!shape.has_bias) return;
  gate_bias_ = weights.Vector(name + ".gate_proj.bias", shape.width);
  up_bias_ = weights.Vector(name + ".up_proj.bias", shape.width);
  down_bias_ = weights.Vector(name + ".down_proj.bias", shape.hidden);
}

uint64_t GatedMlp::multiplications() const { return 3 * uint64_t{gate_.rows()} * gate_.columns(); }

void GatedMlp::Run(std::span<const float> x, size_t count, std::span<float> y) {
  gated_.resize(count * gate_.rows());
  upper_.resize(count * up_.rows());
  gate_.Multiply(x, count, gated_);
  up_.Multiply(x, count, upper_);
  AddBias(gate_bias_, gated_);
  AddBias(up_bias_, upper_);
  GateWithSilu(upper_, gated_);
  down_.Multiply(gated_, count, y);
  AddBias(down_bias_, y);
}

MlpLayer::MlpLayer(const LanguageModelConfig& config, int64_t layer, WeightReader& weights)
    : Layer({.name = MlpName(layer),
             .kind = StageKind::kMlp,
             .input_width = static_cast<size_t>(config.hidden),
             .output_width = static_cast<size_t>(config.hidden)}),
      epsilon_(config.norm_epsilon),
      norm_(weights.Vector(NormName(layer), config.hidden)),
      mlp_(MlpName(layer),
           {.hidden = config.hidden, .width = config.mlp_width, .has_bias = config.has_mlp_bias},
           weights) {
  info_.weight_bytes = mlp_.bytes();
  info_.weight_bytes_token = mlp_.bytes();
  info_.multiplications = mlp_.multiplications();
}

void MlpLayer::Run(const LayerInput& input, std::span<float> output) {
  normed_.resize(input.values.size());
  added_.resize(input.values.size());
  Normalize(input.values, norm_, epsilon_, normed_);
  mlp_.Run(normed_, input.count, added_);
  for (size_t i = 0; i < output.size(); ++i) output[i] = input.values[i] + added_[i];
}

ExpertsLayer::ExpertsLayer(const LanguageModelConfig& config, int64_t layer, WeightReader& weights)
    : Layer({.name = MlpName(layer),
             .kind = StageKind::kExperts,
             .input_width = static_cast<size_t>(config.hidden),
             .output_width = static_cast<size_t>(config.hidden)}),
      epsilon_(config.norm_epsilon),
      config_(*config.experts),
      norm_(weights.Vector(NormName(layer), config.hidden)),
      gate_(weights.Weight(MlpName(layer) + ".gate.weight", config_.count, config.hidden)) {
  if (config_.routing == Routing::kNoAuxTc) {
    bias_ = weights.Vector(MlpName(layer) + ".gate.e_score_correction_bias", config_.count);
  }
  uint64_t bytes = 0;
  for (int64_t i = 0; i < config_.count; ++i) {
    experts_.emplace_back(fmt::format("{}.experts.{}", MlpName(layer), i),
                          GatedMlp::Shape{.hidden = config.hidden, .width = config_.width},
                          weights);
    bytes += experts_.back().bytes();
  }
  uint64_t always = gate_.bytes();
  info_.multiplications =
      uint64_t{gate_.rows()} * gate_.columns() +
      static_cast<uint64_t>(config_.per_token) * experts_.front().multiplications();
  if (config_.shared_count > 0) {
    shared_.emplace(
        MlpName(layer) + ".shared_experts",
        GatedMlp::Shape{.hidden = config.hidden, .width = config_.width * config_.shared_count},
        weights);
    always += shared_->bytes();
    info_.multiplications += shared_->multiplications();
  }
  info_.weight_bytes = always + bytes;
  info_.weight_bytes_token =
      always + experts_.front().bytes() * static_cast<uint64_t>(config_.per_token);
}

void ExpertsLayer::Run(const LayerInput& input, std::span<float> output) {
  const size_t width = info_.input_width;
  normed_.resize(input.values.size());
  added_.resize(input.values.size());
  logits_.resize(input.count * experts_.size());
  Normalize(input.values, norm_, epsilon_, normed_);
  gate_.Multiply(normed_, input.count, logits_);
  // Who goes to each expert: all of them are multiplied at once.
  struct Visitor {
    size_t token;
    float weight;
  };
  std::vector<std::vector<Visitor>> visitors(experts_.size());
  for (size_t token = 0; token < input.count; ++token) {
    const std::span<const float> logits(logits_.data() + token * experts_.size(), experts_.size());
    const std::vector<RoutedExpert> routed = RouteToExperts(config_, logits, bias_);
    for (const RoutedExpert& one : routed) visitors[one.expert].push_back({token, one.weight});
    if (input.trace != nullptr && input.trace->routed) {
      input.trace->routed(info_, input.first_position + static_cast<int64_t>(token), routed);
    }
  }
  if (output.data() != input.values.data()) std::ranges::copy(input.values, output.begin());
  if (shared_) {
    shared_->Run(normed_, input.count, added_);
    Add(added_, output);
  }
  for (size_t expert = 0; expert < experts_.size(); ++expert) {
    const std::vector<Visitor>& here = visitors[expert];
    if (here.empty()) continue;
    gathered_.resize(here.size() * width);
    for (size_t i = 0; i < here.size(); ++i) {
      std::copy_n(normed_.begin() + static_cast<std::ptrdiff_t>(here[i].token * width), width,
                  gathered_.begin() + static_cast<std::ptrdiff_t>(i * width));
    }
    const std::span<float> results = std::span(added_).first(here.size() * width);
    experts_[expert].Run(gathered_, here.size(), results);
    for (size_t i = 0; i < here.size(); ++i) {
      AddScaled(here[i].weight, results.data() + i * width, width,
                output.data() + here[i].token * width);
    }
  }
}

HeadLayer::HeadLayer(const LanguageModelConfig& config, const Matrix& embedding,
                     WeightReader& weights)
    : Layer({.name = config.ties_head ? "model.embed_tokens" : "lm_head",
             .kind = StageKind::kHead,
             .input_width = static_cast<size_t>(config.hidden),
             .output_width = static_cast<size_t>(config.vocabulary)}),
      epsilon_(config.norm_epsilon),
      norm_(weights.Vector("model.norm.weight", config.hidden)),
      head_(config.ties_head ? embedding
                             : weights.Weight("lm_head.weight", config.vocabulary, config.hidden)) {
  if (!config.ties_head) info_.weight_bytes = head_.bytes();  // held once, by the embedding
  info_.weight_bytes_token = head_.bytes();
  info_.multiplications = uint64_t{head_.rows()} * head_.columns();
}

void HeadLayer::Run(const LayerInput& input, std::span<float> output) {
  normed_.resize(input.values.size());
  Normalize(input.values, norm_, epsilon_, normed_);
  head_.Multiply(normed_, input.count, output);
}

}  // namespace skerry
