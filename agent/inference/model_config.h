// What a Hugging Face config.json says of a language model, checked: DeepSeek-V2 and V3/R1, Qwen2
// and Llama. A key that asks for other arithmetic than theirs is refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace skerry {

enum class Architecture { kDeepseekV2, kDeepseekV3, kQwen2, kLlama };

// Peng et al. 2023, "YaRN", as DeepSeek uses it.
struct YarnScaling {
  double factor = 1;
  double beta_fast = 32;
  double beta_slow = 1;
  double mscale = 1;
  double mscale_all_dim = 0;
  int64_t original_positions = 4096;
};
// Llama 3.1: low frequencies are divided by `factor`, high ones kept, those between blended.
struct Llama3Scaling {
  double factor = 1;
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  int64_t original_positions = 8192;
};
// Every frequency is divided by `factor`.
struct LinearScaling {
  double factor = 1;
};
using RopeScaling = std::variant<std::monostate, YarnScaling, Llama3Scaling, LinearScaling>;

// Keys and values of several query heads in common (Ainslie et al. 2023).
struct GroupedAttentionConfig {
  int64_t key_heads = 0;
  int64_t head_dim = 0;
  bool has_input_bias = false;   // of q, k and v
  bool has_output_bias = false;  // of o
};
// Keys and values of all heads from one short vector (DeepSeek-V2, section 2.1).
struct LatentAttentionConfig {
  std::optional<int64_t> query_rank;  // none: queries are projected directly
  int64_t latent_rank = 0;            // kv_lora_rank
  int64_t plain_dim = 0;              // qk_nope_head_dim
  int64_t rope_dim = 0;               // qk_rope_head_dim
  int64_t value_dim = 0;              // v_head_dim
  bool has_bias = false;              // of q_a, kv_a and o
};
using AttentionConfig = std::variant<GroupedAttentionConfig, LatentAttentionConfig>;

enum class Scoring { kSoftmax, kSigmoid };
enum class Routing { kGreedy, kGroupLimitedGreedy, kNoAuxTc };

struct ExpertConfig {
  int64_t count = 0;         // routed
  int64_t shared_count = 0;  // one MLP so many times as wide
  int64_t per_token = 0;
  int64_t width = 0;
  int64_t group_count = 1;
  int64_t groups_kept = 1;
  Scoring scoring = Scoring::kSoftmax;
  Routing routing = Routing::kGreedy;
  bool normalizes = false;
  double scale = 1;
  int64_t first_layer = 0;  // those below have a dense MLP
  int64_t layer_step = 1;   // then each so many-th
};

struct LanguageModelConfig {
  Architecture architecture = Architecture::kLlama;
  int64_t vocabulary = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t mlp_width = 0;
  int64_t positions_max = 0;
  double norm_epsilon = 1e-6;
  double rope_base = 10'000;
  RopeScaling rope_scaling;
  AttentionConfig attention;
  std::optional<ExpertConfig> experts;
  bool has_mlp_bias = false;
  bool ties_head = false;    // the head is the embedding
  int64_t extra_layers = 0;  // for predicting several tokens, in the files after the others; unused
  // Weights in F8_E4M3 carry a scale for each block of so many rows and columns.
  struct Blocks {
    int64_t rows = 128;
    int64_t columns = 128;
  };
  std::optional<Blocks> fp8_blocks;
  std::vector<int64_t> end_ids;     // eos_token_id
  std::optional<int64_t> begin_id;  // bos_token_id

  bool HasExperts(int64_t layer) const {
    return experts && layer >= experts->first_layer && layer % experts->layer_step == 0;
  }
};

// `source` is what errors call the text. Fails with kInvalidArgument naming the key, what was
// expected and what came.
absl::StatusOr<LanguageModelConfig> ParseModelConfig(std::string_view text,
                                                     const std::string& source);
// config.json of a folder, and which tokens end a text from its generation_config.json, if there is
// one that says so.
absl::StatusOr<LanguageModelConfig> ReadModelConfig(const std::string& folder);

}  // namespace skerry
