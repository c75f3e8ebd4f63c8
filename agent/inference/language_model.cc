#include "agent/inference/language_model.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include <fmt/format.h>

#include "agent/inference/feed_forward.h"
#include "agent/inference/grouped_attention.h"
#include "agent/inference/weight_reader.h"
#include "common/base/status.h"

namespace skerry {
namespace {

// Tokens that go through the layers together: enough for the matrix product, few enough for the
// scratch memory.
constexpr size_t kBlockTokens = 256;

uint64_t AvailableMemory() {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;) {
    uint64_t kilobytes = 0;
    if (word == "MemAvailable:" && file >> kilobytes) return kilobytes << 10;
  }
  return std::numeric_limits<uint64_t>::max();
}

size_t CacheRowSize(const LanguageModelConfig& config) {
  if (const auto* grouped = std::get_if<GroupedAttentionConfig>(&config.attention)) {
    return static_cast<size_t>(2 * grouped->key_heads * grouped->head_dim);
  }
  const auto& latent = std::get<LatentAttentionConfig>(config.attention);
  return static_cast<size_t>(latent.latent_rank + latent.rope_dim);
}

// What a block of tokens keeps between the layers, roughly.
uint64_t ScratchBytes(const LanguageModelConfig& config) {
  int64_t widest = std::max(config.mlp_width, config.hidden);
  if (const auto* grouped = std::get_if<GroupedAttentionConfig>(&config.attention)) {
    widest = std::max(widest, config.heads * grouped->head_dim);
  } else {
    const auto& latent = std::get<LatentAttentionConfig>(config.attention);
    widest = std::max(widest, config.heads * (latent.plain_dim + latent.rope_dim));
  }
  const int64_t floats =
      static_cast<int64_t>(kBlockTokens) * (4 * widest + 4 * config.hidden) + config.vocabulary;
  return static_cast<uint64_t>(floats) * sizeof(float);
}

absl::Status CheckMemory(const LanguageModelConfig& config, uint64_t weight_bytes,
                         const LanguageModelOptions& options) {
  const uint64_t available =
      options.memory_bytes_max > 0 ? options.memory_bytes_max : AvailableMemory();
  const size_t context =
      options.context > 0 ? options.context : static_cast<size_t>(config.positions_max);
  const uint64_t cache = KeyValueCache::RowBytes(CacheRowSize(config), options.cache_format) *
                         static_cast<uint64_t>(config.layers) * context;
  const uint64_t scratch = ScratchBytes(config);
  if (weight_bytes + cache + scratch <= available) return absl::OkStatus();
  const auto mib = [](uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  return absl::ResourceExhaustedError(fmt::format(
      "the model needs {:.0f} MiB: {:.0f} of weights, {:.0f} for a cache of {} tokens, {:.0f} of "
      "scratch; {:.0f} MiB are available: choose a shorter context, a smaller cache type or a "
      "smaller model",
      mib(weight_bytes + cache + scratch), mib(weight_bytes), mib(cache), context, mib(scratch),
      mib(available)));
}

}  // namespace

std::string_view NameOf(StageKind kind) {
  switch (kind) {
    case StageKind::kEmbedding:
      return "embedding";
    case StageKind::kAttention:
      return "attention";
    case StageKind::kMlp:
      return "mlp";
    case StageKind::kExperts:
      return "experts";
    case StageKind::kHead:
      return "head";
  }
  return "";
}

LanguageModel::LanguageModel(LanguageModelConfig config, WeightFiles files)
    : config_(std::move(config)), files_(std::move(files)) {}

absl::StatusOr<std::unique_ptr<LanguageModel>> LanguageModel::Load(
    const std::string& folder, const LanguageModelOptions& options) {
  SKERRY_ASSIGN_OR_RETURN(LanguageModelConfig config, ReadModelConfig(folder));
  SKERRY_ASSIGN_OR_RETURN(WeightFiles files, WeightFiles::Open(folder));
  SKERRY_RETURN_IF_ERROR(CheckMemory(config, files.bytes(), options));
  std::unique_ptr<LanguageModel> model(new LanguageModel(std::move(config), std::move(files)));
  if (const absl::Status status = model->Build(options); !status.ok()) {
    return Annotate(status, folder);
  }
  return model;
}

absl::Status LanguageModel::Build(const LanguageModelOptions& options) {
  WeightReader weights(files_, config_);
  for (int64_t i = 0; i < config_.extra_layers; ++i) {
    weights.Ignore(fmt::format("model.layers.{}.", config_.layers + i));
  }
  if (config_.ties_head) weights.Ignore("lm_head.weight");  // a copy that some files carry
  auto embedding = std::make_unique<EmbeddingLayer>(config_, weights);
  const Matrix table = embedding->table();
  layers_.push_back(std::move(embedding));
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    if (std::holds_alternative<LatentAttentionConfig>(config_.attention)) {
      layers_.push_back(
          std::make_unique<LatentAttentionLayer>(config_, layer, options.latent_form, weights));
    } else {
      layers_.push_back(std::make_unique<GroupedAttentionLayer>(config_, layer, weights));
    }
    if (config_.HasExperts(layer)) {
      layers_.push_back(std::make_unique<ExpertsLayer>(config_, layer, weights));
    } else {
      layers_.push_back(std::make_unique<MlpLayer>(config_, layer, weights));
    }
  }
  layers_.push_back(std::make_unique<HeadLayer>(config_, table, weights));
  SKERRY_RETURN_IF_ERROR(weights.Finish());
  scales_ = weights.TakeScales();
  has_float32_weights_ = files_.tensors().at("model.embed_tokens.weight").dtype == "F32";
  return absl::OkStatus();
}

KeyValueCache LanguageModel::MakeCache(CacheFormat format) const {
  return KeyValueCache(
      {.layers = static_cast<size_t>(config_.layers), .row_size = CacheRowSize(config_)}, format);
}

// From token ids to the hidden states before the head.
void LanguageModel::RunBlock(std::span<const int64_t> tokens, KeyValueCache& cache,
                             const LayerTrace* trace) {
  hidden_.resize(tokens.size() * static_cast<size_t>(config_.hidden));
  for (size_t i = 0; i + 1 < layers_.size(); ++i) {
    layers_[i]->Run({.tokens = i == 0 ? tokens : std::span<const int64_t>(),
                     .values = i == 0 ? std::span<const float>() : hidden_,
                     .count = tokens.size(),
                     .first_position = static_cast<int64_t>(cache.length()),
                     .cache = &cache,
                     .trace = trace},
                    hidden_);
    if (trace != nullptr && trace->output) trace->output(layers_[i]->info(), hidden_);
  }
  cache.Append(tokens);
}

absl::StatusOr<std::span<const float>> LanguageModel::Forward(std::span<const int64_t> tokens,
                                                              KeyValueCache& cache, Logits logits,
                                                              const LayerTrace* trace) {
  if (tokens.empty()) return absl::InvalidArgumentError("there is no token to go on from");
  for (const int64_t token : tokens) {
    if (token >= 0 && token < config_.vocabulary) continue;
    return absl::InvalidArgumentError(fmt::format(
        "token ids must be 0..{}, the model's vocabulary, got {}", config_.vocabulary - 1, token));
  }
  const auto length = static_cast<int64_t>(cache.length() + tokens.size());
  if (length > config_.positions_max) {
    return absl::InvalidArgumentError(fmt::format(
        "the text has {} tokens, the model has {} positions: shorten the prompt or ask for fewer "
        "tokens",
        length, config_.positions_max));
  }
  const auto width = static_cast<size_t>(config_.hidden);
  const auto vocabulary = static_cast<size_t>(config_.vocabulary);
  logits_.resize((logits == Logits::kAll ? tokens.size() : 1) * vocabulary);
  for (size_t begin = 0; begin < tokens.size(); begin += kBlockTokens) {
    const std::span<const int64_t> block =
        tokens.subspan(begin, std::min(kBlockTokens, tokens.size() - begin));
    RunBlock(block, cache, trace);
    const bool is_last = begin + block.size() == tokens.size();
    if (logits == Logits::kLast && !is_last) continue;
    const size_t count = logits == Logits::kAll ? block.size() : 1;
    layers_.back()->Run({.tokens = {},
                         .values = std::span(hidden_).last(count * width),
                         .count = count,
                         .first_position = 0},
                        std::span(logits_).subspan(logits == Logits::kAll ? begin * vocabulary : 0,
                                                   count * vocabulary));
  }
  return logits_;
}

}  // namespace skerry
