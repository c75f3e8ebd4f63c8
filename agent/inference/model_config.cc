#include "agent/inference/model_config.h"

#include <cmath>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/base/status.h"

namespace skerry {
namespace {

using Json = nlohmann::json;

constexpr size_t kConfigBytesMax = 1 << 20;
constexpr int64_t kSizeMax = int64_t{1} << 24;

struct IntegerRange {
  int64_t min = 1;
  int64_t max = kSizeMax;
};

// Reads keys of one object and keeps the first error, so that a reader is a list of keys.
class KeyReader {
 public:
  KeyReader(const Json& object, std::string place) : object_(object), place_(std::move(place)) {}

  const absl::Status& status() const { return status_; }
  bool Has(const char* key) const { return object_.contains(key) && !object_.at(key).is_null(); }
  const Json& At(const char* key) const { return object_.at(key); }

  void Refuse(const char* key, std::string_view problem) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(
        fmt::format("{}: {} {}, got {}", place_, key, problem,
                    Has(key) ? object_.at(key).dump().substr(0, 80) : std::string("nothing")));
  }

  int64_t Integer(const char* key, IntegerRange range = {}) {
    if (!Has(key) || !object_.at(key).is_number_integer()) {
      Refuse(key, "must be a whole number");
      return range.min;
    }
    const auto value = object_.at(key).get<int64_t>();
    if (value < range.min || value > range.max) {
      Refuse(key, fmt::format("must be {}..{}", range.min, range.max));
      return range.min;
    }
    return value;
  }
  int64_t Integer(const char* key, int64_t otherwise, IntegerRange range) {
    return Has(key) ? Integer(key, range) : otherwise;
  }
  double Number(const char* key, double otherwise, double min, double max) {
    if (!Has(key)) return otherwise;
    const double value = object_.at(key).is_number() ? object_.at(key).get<double>() : NAN;
    if (value >= min && value <= max) return value;
    Refuse(key, fmt::format("must be {}..{}", min, max));
    return otherwise;
  }
  bool Flag(const char* key, bool otherwise) {
    if (!Has(key)) return otherwise;
    if (!object_.at(key).is_boolean()) Refuse(key, "must be true or false");
    return object_.at(key).is_boolean() && object_.at(key).get<bool>();
  }
  std::string Text(const char* key, const std::string& otherwise) {
    if (!Has(key)) return otherwise;
    if (!object_.at(key).is_string()) Refuse(key, "must be a text");
    return object_.at(key).is_string() ? object_.at(key).get<std::string>() : otherwise;
  }

 private:
  const Json& object_;
  std::string place_;
  absl::Status status_;
};

std::optional<Architecture> FindArchitecture(const std::string& type) {
  if (type == "deepseek_v2") return Architecture::kDeepseekV2;
  if (type == "deepseek_v3") return Architecture::kDeepseekV3;
  if (type == "qwen2") return Architecture::kQwen2;
  if (type == "llama") return Architecture::kLlama;
  return std::nullopt;
}

RopeScaling ReadRopeScaling(KeyReader& keys, const std::string& source) {
  if (!keys.Has("rope_scaling")) return {};
  if (!keys.At("rope_scaling").is_object()) {
    keys.Refuse("rope_scaling", "must be an object or null");
    return {};
  }
  KeyReader scaling(keys.At("rope_scaling"), source + ": rope_scaling");
  const std::string type = scaling.Text("rope_type", scaling.Text("type", ""));
  const double factor = scaling.Number("factor", 1, 1, 1e6);
  const int64_t original = scaling.Integer("original_max_position_embeddings", 4096, {});
  RopeScaling result;
  if (type == "yarn") {
    result = YarnScaling{.factor = factor,
                         .beta_fast = scaling.Number("beta_fast", 32, 0, 1e6),
                         .beta_slow = scaling.Number("beta_slow", 1, 0, 1e6),
                         .mscale = scaling.Number("mscale", 1, 0, 1e3),
                         .mscale_all_dim = scaling.Number("mscale_all_dim", 0, 0, 1e3),
                         .original_positions = original};
  } else if (type == "llama3") {
    const Llama3Scaling llama = {
        .factor = factor,
        .low_frequency_factor = scaling.Number("low_freq_factor", 1, 1e-6, 1e6),
        .high_frequency_factor = scaling.Number("high_freq_factor", 4, 1e-6, 1e6),
        .original_positions = original};
    if (llama.high_frequency_factor <= llama.low_frequency_factor) {
      scaling.Refuse("high_freq_factor", "must be above low_freq_factor");
    }
    result = llama;
  } else if (type == "linear") {
    result = LinearScaling{factor};
  } else if (type != "default") {
    keys.Refuse("rope_scaling", "must be of the type yarn, llama3, linear or default");
  }
  if (!scaling.status().ok()) keys.Refuse("rope_scaling", std::string(scaling.status().message()));
  return result;
}

LatentAttentionConfig ReadLatentAttention(KeyReader& keys) {
  LatentAttentionConfig attention;
  if (keys.Has("q_lora_rank")) attention.query_rank = keys.Integer("q_lora_rank");
  attention.latent_rank = keys.Integer("kv_lora_rank");
  attention.plain_dim = keys.Integer("qk_nope_head_dim");
  attention.rope_dim = keys.Integer("qk_rope_head_dim");
  attention.value_dim = keys.Integer("v_head_dim");
  attention.has_bias = keys.Flag("attention_bias", false);
  if (attention.rope_dim % 2 != 0) keys.Refuse("qk_rope_head_dim", "must be even");
  return attention;
}

GroupedAttentionConfig ReadGroupedAttention(const LanguageModelConfig& config, KeyReader& keys) {
  GroupedAttentionConfig attention;
  attention.key_heads = keys.Integer("num_key_value_heads", config.heads, {.max = config.heads});
  if (config.heads % attention.key_heads != 0) {
    keys.Refuse("num_key_value_heads", "must divide num_attention_heads");
  }
  if (!keys.Has("head_dim") && config.hidden % config.heads != 0) {
    keys.Refuse("hidden_size", "must be a multiple of num_attention_heads");
  }
  attention.head_dim = keys.Integer("head_dim", config.hidden / config.heads, {});
  if (attention.head_dim % 2 != 0) keys.Refuse("head_dim", "must be even, for RoPE");
  if (config.architecture == Architecture::kQwen2) {
    attention.has_input_bias = true;
    if (keys.Flag("use_sliding_window", false)) {
      keys.Refuse("use_sliding_window",
                  "must be false: every token sees all tokens before it here");
    }
  } else {
    attention.has_input_bias = keys.Flag("attention_bias", false);
    attention.has_output_bias = attention.has_input_bias;
  }
  return attention;
}

Routing ReadRouting(Architecture architecture, KeyReader& keys) {
  const bool is_v3 = architecture == Architecture::kDeepseekV3;
  const std::string routing = keys.Text("topk_method", is_v3 ? "noaux_tc" : "greedy");
  if (routing == "noaux_tc" && is_v3) return Routing::kNoAuxTc;
  if (routing == "greedy" && !is_v3) return Routing::kGreedy;
  if (routing == "group_limited_greedy" && !is_v3) return Routing::kGroupLimitedGreedy;
  keys.Refuse("topk_method", is_v3 ? "must be noaux_tc" : "must be greedy or group_limited_greedy");
  return Routing::kGreedy;
}

ExpertConfig ReadExperts(Architecture architecture, KeyReader& keys) {
  const bool is_v3 = architecture == Architecture::kDeepseekV3;
  ExpertConfig experts;
  experts.count = keys.Integer("n_routed_experts");
  experts.shared_count = keys.Integer("n_shared_experts", 0, {.min = 0});
  experts.per_token = keys.Integer("num_experts_per_tok", {.max = experts.count});
  experts.width = keys.Integer("moe_intermediate_size");
  experts.routing = ReadRouting(architecture, keys);
  const std::string scoring = keys.Text("scoring_func", is_v3 ? "sigmoid" : "softmax");
  if (scoring != (is_v3 ? "sigmoid" : "softmax")) {
    keys.Refuse("scoring_func", is_v3 ? "must be sigmoid" : "must be softmax");
  }
  experts.scoring = is_v3 ? Scoring::kSigmoid : Scoring::kSoftmax;
  experts.normalizes = keys.Flag("norm_topk_prob", is_v3);
  experts.scale = keys.Number("routed_scaling_factor", 1, 0, 1e6);
  experts.first_layer = keys.Integer("first_k_dense_replace", 0, {.min = 0});
  experts.layer_step = keys.Integer("moe_layer_freq", 1, {});
  if (experts.routing == Routing::kGreedy) return experts;
  experts.group_count = keys.Integer("n_group", {.max = experts.count});
  experts.groups_kept = keys.Integer("topk_group", {.max = experts.group_count});
  const int64_t group_size = experts.count / experts.group_count;
  if (experts.count % experts.group_count != 0) {
    keys.Refuse("n_group", "must divide n_routed_experts");
  } else if (experts.per_token > experts.groups_kept * group_size) {
    keys.Refuse("num_experts_per_tok", "must fit into topk_group groups");
  } else if (is_v3 && group_size < 2) {
    keys.Refuse("n_group", "must leave two experts or more a group");
  }
  return experts;
}

void ReadQuantization(KeyReader& keys, const std::string& source, LanguageModelConfig& config) {
  if (!keys.Has("quantization_config")) return;
  if (!keys.At("quantization_config").is_object()) {
    keys.Refuse("quantization_config", "must be an object");
    return;
  }
  KeyReader quantization(keys.At("quantization_config"), source + ": quantization_config");
  if (quantization.Text("quant_method", "") != "fp8") {
    quantization.Refuse("quant_method", "must be fp8");
  } else if (const std::string format = quantization.Text("fmt", "e4m3"); format != "e4m3") {
    quantization.Refuse("fmt", "must be e4m3");
  } else {
    LanguageModelConfig::Blocks blocks;
    if (quantization.Has("weight_block_size")) {
      const Json& sizes = quantization.At("weight_block_size");
      const bool is_pair = sizes.is_array() && sizes.size() == 2 && sizes[0].is_number_unsigned() &&
                           sizes[1].is_number_unsigned() && sizes[0] > 0 && sizes[0] <= kSizeMax &&
                           sizes[1] > 0 && sizes[1] <= kSizeMax;
      if (is_pair) {
        blocks = {sizes[0].get<int64_t>(), sizes[1].get<int64_t>()};
      } else {
        quantization.Refuse("weight_block_size", "must be two whole numbers above 0");
      }
    }
    config.fp8_blocks = blocks;
  }
  if (!quantization.status().ok()) {
    keys.Refuse("quantization_config", std::string(quantization.status().message()));
  }
}

// eos_token_id: an id or several.
std::vector<int64_t> ReadEndIds(KeyReader& keys, int64_t vocabulary) {
  std::vector<int64_t> ids;
  if (!keys.Has("eos_token_id")) return ids;
  const Json& end = keys.At("eos_token_id");
  const Json list = end.is_array() ? end : Json::array({end});
  for (const Json& id : list) {
    if (!id.is_number_integer() || id < 0 || id >= vocabulary) {
      keys.Refuse("eos_token_id", fmt::format("must be 0..{} or a list of such", vocabulary - 1));
      return ids;
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

}  // namespace

absl::StatusOr<LanguageModelConfig> ParseModelConfig(std::string_view text,
                                                     const std::string& source) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError(fmt::format("{} is not a JSON object", source));
  }
  KeyReader keys(json, source);
  LanguageModelConfig config;
  const auto architecture = FindArchitecture(keys.Text("model_type", ""));
  if (!architecture) {
    keys.Refuse("model_type", "must be deepseek_v2, deepseek_v3, qwen2 or llama");
    return keys.status();
  }
  config.architecture = *architecture;
  config.vocabulary = keys.Integer("vocab_size");
  config.hidden = keys.Integer("hidden_size");
  config.layers = keys.Integer("num_hidden_layers", {.max = 10'000});
  config.heads = keys.Integer("num_attention_heads", {.max = 1 << 16});
  config.mlp_width = keys.Integer("intermediate_size");
  config.positions_max = keys.Integer("max_position_embeddings", 4096, {.max = int64_t{1} << 31});
  config.norm_epsilon = keys.Number("rms_norm_eps", 1e-6, 0, 1);
  config.rope_base = keys.Number("rope_theta", 10'000, 1, 1e12);
  config.rope_scaling = ReadRopeScaling(keys, source);
  config.ties_head = keys.Flag("tie_word_embeddings", false);
  config.extra_layers = keys.Integer("num_nextn_predict_layers", 0, {.min = 0, .max = 10'000});
  if (const std::string act = keys.Text("hidden_act", "silu"); act != "silu") {
    keys.Refuse("hidden_act", "must be silu");
  }
  if (!keys.status().ok()) return keys.status();  // later ones divide by these
  const bool is_deepseek = config.architecture == Architecture::kDeepseekV2 ||
                           config.architecture == Architecture::kDeepseekV3;
  if (is_deepseek) {
    config.attention = ReadLatentAttention(keys);
    if (!keys.Flag("rope_interleave", true)) {
      keys.Refuse("rope_interleave", "must be true: neighbours are rotated, as published");
    }
    if (keys.Has("n_routed_experts")) config.experts = ReadExperts(config.architecture, keys);
  } else {
    config.attention = ReadGroupedAttention(config, keys);
    config.has_mlp_bias = keys.Flag("mlp_bias", false);
    if (std::holds_alternative<YarnScaling>(config.rope_scaling)) {
      keys.Refuse("rope_scaling", "of the type yarn is implemented for DeepSeek only");
    }
  }
  ReadQuantization(keys, source, config);
  if (keys.Has("bos_token_id")) {
    config.begin_id = keys.Integer("bos_token_id", {.min = 0, .max = config.vocabulary - 1});
  }
  config.end_ids = ReadEndIds(keys, config.vocabulary);
  if (!keys.status().ok()) return keys.status();
  return config;
}

absl::StatusOr<LanguageModelConfig> ReadModelConfig(const std::string& folder) {
  const std::string path = folder + "/config.json";
  SKERRY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kConfigBytesMax));
  SKERRY_ASSIGN_OR_RETURN(LanguageModelConfig config, ParseModelConfig(text, path));
  const std::string generation_path = folder + "/generation_config.json";
  if (!std::filesystem::exists(generation_path)) return config;
  SKERRY_ASSIGN_OR_RETURN(const std::string generation, ReadFile(generation_path, kConfigBytesMax));
  const Json json = Json::parse(generation, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError(fmt::format("{} is not a JSON object", generation_path));
  }
  KeyReader keys(json, generation_path);
  if (keys.Has("eos_token_id")) config.end_ids = ReadEndIds(keys, config.vocabulary);
  if (!keys.status().ok()) return keys.status();
  return config;
}

}  // namespace skerry
