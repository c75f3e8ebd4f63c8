#include "agent/conversion/llama2c_conversion.h"

#include <filesystem>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "agent/conversion/llama2c_checkpoint.h"
#include "agent/conversion/llama2c_tokenizer.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/tensor/safetensors.h"

namespace skerry {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kTokenizerBytesMax = size_t{256} << 20;
constexpr int kBosId = 1;
constexpr int kEosId = 2;

std::string ConfigJson(const Llama2cShape& shape) {
  const Json json = {{"architectures", Json::array({"LlamaForCausalLM"})},
                     {"model_type", "llama"},
                     {"vocab_size", shape.vocab},
                     {"hidden_size", shape.dim},
                     {"intermediate_size", shape.hidden},
                     {"num_hidden_layers", shape.layers},
                     {"num_attention_heads", shape.heads},
                     {"num_key_value_heads", shape.kv_heads},
                     {"head_dim", shape.head_size()},
                     {"max_position_embeddings", shape.context},
                     {"hidden_act", "silu"},
                     {"rms_norm_eps", 1e-5},
                     {"rope_theta", 10000.0},
                     {"rope_scaling", nullptr},
                     {"attention_bias", false},
                     {"mlp_bias", false},
                     {"attention_dropout", 0.0},
                     {"initializer_range", 0.02},
                     {"pretraining_tp", 1},
                     {"tie_word_embeddings", !shape.has_own_classifier},
                     {"use_cache", true},
                     {"bos_token_id", kBosId},
                     {"eos_token_id", kEosId},
                     {"torch_dtype", "float32"}};
  return json.dump(2) + "\n";
}

// llama2.c ends a text at the token that begins the next one, and its models were trained so.
std::string GenerationConfigJson() {
  const Json json = {{"bos_token_id", kBosId}, {"eos_token_id", Json::array({kBosId, kEosId})}};
  return json.dump(2) + "\n";
}

absl::Status CheckFolder(const std::string& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) return absl::OkStatus();
  if (std::filesystem::is_directory(folder, error) && std::filesystem::is_empty(folder, error)) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(
      fmt::format("{} is there and not an empty folder: name another one", folder));
}

}  // namespace

absl::Status ConvertLlama2c(const Llama2cFiles& files, const std::string& folder) {
  SKERRY_RETURN_IF_ERROR(CheckFolder(folder));
  SKERRY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(files.tokenizer, kTokenizerBytesMax));
  absl::StatusOr<std::vector<Llama2cToken>> tokens = ParseLlama2cTokenizer(bytes);
  if (!tokens.ok()) return Annotate(tokens.status(), files.tokenizer);
  SKERRY_ASSIGN_OR_RETURN(const Llama2cCheckpoint checkpoint,
                          ReadLlama2cCheckpoint(files.checkpoint));
  if (static_cast<int64_t>(tokens->size()) != checkpoint.shape.vocab) {
    return absl::InvalidArgumentError(fmt::format("{} has {} tokens, {} is for {}", files.tokenizer,
                                                  tokens->size(), files.checkpoint,
                                                  checkpoint.shape.vocab));
  }
  SKERRY_RETURN_IF_ERROR(MakeDirectories(folder));
  const auto write = [&](std::string_view name, const std::string& text) {
    return WriteFileAtomically(fmt::format("{}/{}", folder, name), text);
  };
  SKERRY_RETURN_IF_ERROR(
      WriteSafetensors(folder + "/model.safetensors", checkpoint.parameters, {{"format", "pt"}}));
  SKERRY_RETURN_IF_ERROR(write("tokenizer.json", TokenizerJsonOf(*tokens)));
  SKERRY_RETURN_IF_ERROR(write("tokenizer_config.json", TokenizerConfigJson()));
  SKERRY_RETURN_IF_ERROR(write("generation_config.json", GenerationConfigJson()));
  return write("config.json", ConfigJson(checkpoint.shape));
}

}  // namespace skerry
