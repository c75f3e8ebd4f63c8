// Folders that do not fit together: each error names the file and the tensor or key.
#include <cmath>

#include <fmt/format.h>

#include "agent/inference/language_model.h"
#include "tests/agent/inference/model_folder.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ModelErrorsTest : public testing::Test {
 protected:
  void ExpectRefused(const std::string& path, absl::StatusCode code,
                     const testing::Matcher<std::string>& message) {
    EXPECT_THAT(LanguageModel::Load(path, options_), StatusIs(code, message));
  }
  void ExpectRefused(const testing::Matcher<std::string>& message) {
    ExpectRefused(folder_.Write(), absl::StatusCode::kInvalidArgument, message);
  }

  ModelFolder folder_{"deepseek_v3"};
  LanguageModelOptions options_;
};

constexpr const char* kGate = "model.layers.1.mlp.gate.weight";

TEST_F(ModelErrorsTest, MissingTensor) {
  folder_.tensors.erase(kGate);
  ExpectRefused(HasSubstr("model.layers.1.mlp.gate.weight is missing"));
}

TEST_F(ModelErrorsTest, TensorThatDoesNotBelong) {
  folder_.tensors["model.layers.9.mlp.gate.weight"] = folder_.tensors[kGate];
  ExpectRefused(HasSubstr("model.safetensors: model.layers.9.mlp.gate.weight does not belong"));
}

TEST_F(ModelErrorsTest, MisshapenTensor) {
  folder_.tensors[kGate].sizes = {8, 128};
  ExpectRefused(HasSubstr("gate.weight must have the shape [16, 64] by config.json, got [8, 128]"));
}

TEST_F(ModelErrorsTest, AllProblemsAtOnceAndHowManyMore) {
  for (int i = 0; i < 12; ++i) {
    folder_.tensors.erase(fmt::format("model.layers.1.mlp.experts.{}.up_proj.weight", i));
  }
  ExpectRefused(AllOf(HasSubstr("experts.0.up_proj.weight is missing"), HasSubstr("and 4 more")));
}

TEST_F(ModelErrorsTest, NumbersThatAreNotFinite) {
  std::vector<float> values = FloatsOf(folder_.tensors[kGate]);
  values[100] = NAN;
  folder_.tensors[kGate].bytes = BytesOfFloats(values);
  ExpectRefused(HasSubstr("model.layers.1.mlp.gate.weight is not finite at number 100 of 1024"));
}

TEST_F(ModelErrorsTest, AFormatThatWeightsDoNotHave) {
  folder_.tensors[kGate].dtype = "I32";
  ExpectRefused(HasSubstr("gate.weight must be F32, BF16, F16 or F8_E4M3, got I32"));
}

TEST_F(ModelErrorsTest, E4m3WithoutItsConfiguration) {
  folder_.tensors[kGate].dtype = "F8_E4M3";
  folder_.tensors[kGate].bytes = std::string(16 * 64, '\x38');
  ExpectRefused(HasSubstr("no quantization_config of fp8"));
}

TEST_F(ModelErrorsTest, ExtraLayersMayBeThereOrNot) {
  std::erase_if(folder_.tensors,
                [](const auto& entry) { return entry.first.starts_with("model.layers.3."); });
  EXPECT_OK(LanguageModel::Load(folder_.Write(), {}).status());
}

TEST_F(ModelErrorsTest, AWrongHash) {
  folder_.Write();
  folder_.WriteFile("SHA256SUMS", std::string(64, 'a') + "  model.safetensors\n");
  ExpectRefused(folder_.path(), absl::StatusCode::kDataLoss,
                AllOf(HasSubstr("model.safetensors has the SHA-256"), HasSubstr("fetch")));
  folder_.WriteFile("SHA256SUMS", "rubbish\n");
  ExpectRefused(folder_.path(), absl::StatusCode::kInvalidArgument, HasSubstr("SHA256SUMS:1"));
}

TEST_F(ModelErrorsTest, AnIndexThatIsWrong) {
  folder_.WriteTwoShards();
  const auto with_index = [&](const nlohmann::json& map) {
    folder_.WriteFile("model.safetensors.index.json", nlohmann::json({{"weight_map", map}}).dump());
    return folder_.path();
  };
  ExpectRefused(with_index({{"a", "../../etc/passwd"}}), absl::StatusCode::kInvalidArgument,
                HasSubstr("must name a file of the same folder"));
  ExpectRefused(with_index({{"a", "model-00001-of-00002.safetensors"}}),
                absl::StatusCode::kInvalidArgument, HasSubstr("says that a is in model-00001"));
  ExpectRefused(with_index({{"a", "none.safetensors"}}), absl::StatusCode::kNotFound,
                HasSubstr("none.safetensors"));
  folder_.WriteFile("model.safetensors.index.json", "[]");
  ExpectRefused(folder_.path(), absl::StatusCode::kInvalidArgument, HasSubstr("weight_map"));
}

TEST_F(ModelErrorsTest, MoreMemoryThanThereIs) {
  options_.memory_bytes_max = 3 << 20;
  options_.context = 40'000;
  ExpectRefused(folder_.Write(), absl::StatusCode::kResourceExhausted,
                AllOf(HasSubstr("2 of weights"), HasSubstr("22 for a cache of 40000 tokens"),
                      HasSubstr("3 MiB are available")));
  options_.context = 100;
  options_.memory_bytes_max = 30 << 20;
  EXPECT_OK(LanguageModel::Load(folder_.Write(), options_).status());
}

TEST_F(ModelErrorsTest, NeitherConfigNorWeights) {
  const TemporaryDirectory empty;
  ExpectRefused(empty.path(), absl::StatusCode::kNotFound, HasSubstr("config.json"));
  folder_.WriteFile("config.json", folder_.config.dump());
  ExpectRefused(folder_.path(), absl::StatusCode::kNotFound,
                HasSubstr("neither model.safetensors nor model.safetensors.index.json"));
  folder_.WriteFile("model.safetensors", "short");
  ExpectRefused(folder_.path(), absl::StatusCode::kInvalidArgument,
                HasSubstr("model.safetensors: shorter"));
}

TEST_F(ModelErrorsTest, ATextLongerThanTheModelsPositionsIsRefusedAndChangesNothing) {
  folder_.config["max_position_embeddings"] = 8;
  ASSERT_OK_AND_ASSIGN(const auto model, LanguageModel::Load(folder_.Write(), {}));
  KeyValueCache cache = model->MakeCache(CacheFormat::kF32);
  const std::vector<int64_t> tokens(5, 1);
  ASSERT_OK(model->Forward(tokens, cache, LanguageModel::Logits::kLast).status());

  EXPECT_THAT(model->Forward(tokens, cache, LanguageModel::Logits::kLast),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("10 tokens, the model has 8 positions")));
  EXPECT_EQ(cache.length(), 5u);
}

TEST_F(ModelErrorsTest, GenerationConfigSaysWhichTokensEndAText) {
  folder_.Write();
  folder_.WriteFile("generation_config.json", R"({"eos_token_id": [7, 9]})");
  ASSERT_OK_AND_ASSIGN(const LanguageModelConfig config, ReadModelConfig(folder_.path()));
  EXPECT_EQ(config.end_ids, (std::vector<int64_t>{7, 9}));
  folder_.WriteFile("generation_config.json", R"({"eos_token_id": 320})");
  ExpectRefused(folder_.path(), absl::StatusCode::kInvalidArgument,
                HasSubstr("generation_config.json: eos_token_id must be 0..319"));
  folder_.WriteFile("generation_config.json", "{}");
  EXPECT_EQ(ReadModelConfig(folder_.path())->end_ids, std::vector<int64_t>{1});
}

struct BadKey {
  const char* model;
  const char* key;
  const char* value;
  const char* expected;
};

TEST(ModelConfigTest, EachContradictionNamesItsKey) {
  const BadKey cases[] = {
      {"deepseek_v3", "model_type", "\"gpt2\"", "model_type must be deepseek_v2, deepseek_v3"},
      {"deepseek_v3", "vocab_size", "0", "vocab_size must be 1.."},
      {"deepseek_v3", "hidden_size", "\"64\"", "hidden_size must be a whole number"},
      {"deepseek_v3", "hidden_act", "\"gelu\"", "hidden_act must be silu, got \"gelu\""},
      {"deepseek_v3", "kv_lora_rank", "null", "kv_lora_rank must be a whole number, got nothing"},
      {"deepseek_v3", "qk_rope_head_dim", "15", "qk_rope_head_dim must be even"},
      {"deepseek_v3", "n_group", "5", "n_group must divide n_routed_experts"},
      {"deepseek_v3", "topk_group", "9", "topk_group must be 1..4"},
      {"deepseek_v3", "num_experts_per_tok", "10", "must fit into topk_group groups"},
      {"deepseek_v3", "topk_method", "\"greedy\"", "topk_method must be noaux_tc"},
      {"deepseek_v3", "scoring_func", "\"softmax\"", "scoring_func must be sigmoid"},
      {"deepseek_v3", "rope_scaling", "{\"type\": \"ntk\", \"factor\": 2}",
       "rope_scaling must be of the type yarn"},
      {"deepseek_v3", "rope_scaling", "{\"type\": \"yarn\", \"factor\": 0}",
       "rope_scaling: factor must be 1.."},
      {"deepseek_v3", "quantization_config", "{\"quant_method\": \"gptq\"}",
       "quant_method must be fp8"},
      {"deepseek_v3", "eos_token_id", "320", "eos_token_id must be 0..319"},
      {"deepseek_v3", "rope_interleave", "false", "rope_interleave must be true"},
      {"qwen2", "use_sliding_window", "true", "use_sliding_window must be false"},
      {"qwen2", "num_key_value_heads", "4", "must divide num_attention_heads"},
      {"qwen2", "hidden_size", "100", "must be a multiple of num_attention_heads"},
      {"llama", "rope_scaling",
       "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": "
       "4}",
       "high_freq_factor must be above low_freq_factor"},
      {"llama", "rope_scaling", "{\"rope_type\": \"yarn\", \"factor\": 2}", "for DeepSeek only"},
      {"llama", "tie_word_embeddings", "1", "tie_word_embeddings must be true or false"},
  };
  for (const BadKey& bad : cases) {
    ModelFolder folder(bad.model);
    folder.config[bad.key] = nlohmann::json::parse(bad.value);
    EXPECT_THAT(ParseModelConfig(folder.config.dump(), "config.json"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("config.json"), HasSubstr(bad.expected))))
        << bad.key << " " << bad.value;
  }
  EXPECT_THAT(ParseModelConfig("{", "c"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("c is not a JSON object")));
}

}  // namespace
}  // namespace skerry
