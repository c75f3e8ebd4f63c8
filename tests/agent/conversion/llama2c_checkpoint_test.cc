#include "agent/conversion/llama2c_checkpoint.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "agent/conversion/llama2c_conversion.h"
#include "agent/shell/convert_command.h"
#include "agent/tokenizer/tokenizer.h"
#include "common/base/file.h"
#include "common/tensor/safetensors.h"
#include "tests/agent/conversion/llama2c_files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::HasSubstr;

struct Header {
  int32_t dim = 8;
  int32_t hidden = 12;
  int32_t layers = 2;
  int32_t heads = 2;
  int32_t kv_heads = 1;
  int32_t vocab = 261;
  int32_t seq = 5;
};

std::string HeaderBytes(const Header& header) {
  std::string bytes;
  AppendRaw(header, bytes);
  return bytes;
}

// Values 0, 1, 2, ... in the order of the file.
std::string CheckpointBytes(const Header& header, size_t value_count) {
  std::string bytes = HeaderBytes(header);
  for (size_t i = 0; i < value_count; ++i) AppendRaw(static_cast<float>(i), bytes);
  return bytes;
}

// Of the default header, counted by hand: embedding 261 * 8; for both layers norms 2 * 8, wq and wo
// 8 * 8, wk and wv 4 * 8, three of 12 * 8; the last norm 8; tables of 5 * 2 twice.
constexpr size_t kEmbedding = 2088;
constexpr size_t kLayers = 2 * (2 * 8 + 2 * 64 + 2 * 32 + 3 * 96);
constexpr size_t kValues = kEmbedding + kLayers + 8 + 20;

std::span<const float> TensorOf(const ParameterVector& parameters, const std::string& name) {
  for (size_t i = 0; i < parameters.layout()->tensors().size(); ++i) {
    if (parameters.layout()->tensors()[i].name == name) return parameters.tensor(i);
  }
  ADD_FAILURE() << "no " << name;
  return {};
}

TEST(Llama2cCheckpointTest, TensorsLieWhereTheFormatPutsThem) {
  const TemporaryDirectory folder;
  WriteBytes(folder / "m.bin", CheckpointBytes({}, kValues));

  ASSERT_OK_AND_ASSIGN(const Llama2cCheckpoint read, ReadLlama2cCheckpoint(folder / "m.bin"));

  const auto first = [&](const std::string& name) {
    return static_cast<size_t>(TensorOf(read.parameters, name)[0]);
  };
  EXPECT_EQ(first("model.embed_tokens.weight"), 0u);
  EXPECT_EQ(first("model.layers.1.input_layernorm.weight"), kEmbedding + 8);
  EXPECT_EQ(first("model.layers.0.self_attn.q_proj.weight"), kEmbedding + 16);
  EXPECT_EQ(first("model.layers.1.self_attn.k_proj.weight"), kEmbedding + 16 + 128 + 32);
  EXPECT_EQ(first("model.layers.0.self_attn.v_proj.weight"), kEmbedding + 16 + 128 + 64);
  EXPECT_EQ(first("model.layers.0.self_attn.o_proj.weight"), kEmbedding + 16 + 256);
  EXPECT_EQ(first("model.layers.0.post_attention_layernorm.weight"), kEmbedding + 16 + 384);
  EXPECT_EQ(first("model.layers.0.mlp.gate_proj.weight"), kEmbedding + 32 + 384);
  EXPECT_EQ(first("model.layers.1.mlp.down_proj.weight"), kEmbedding + 32 + 384 + 192 + 96);
  EXPECT_EQ(first("model.layers.0.mlp.up_proj.weight"), kEmbedding + 32 + 384 + 384);
  EXPECT_EQ(first("model.norm.weight"), kEmbedding + kLayers);
  EXPECT_EQ(read.parameters.size(), kValues - 20);
}

// Attention scores of two positions, rotated as llama2.c does (pairs side by side) with the weights
// in the file, and as Hugging Face's Llama does (halves) with the converted ones.
TEST(Llama2cCheckpointTest, RotationByHalvesOfConvertedRowsGivesTheSameScores) {
  const TemporaryDirectory folder;
  const Header header;
  Rng rng(3);
  std::string bytes = HeaderBytes(header);
  std::vector<float> values(kValues);
  for (float& value : values) {
    value = static_cast<float>(rng.Normal());
    AppendRaw(value, bytes);
  }
  WriteBytes(folder / "m.bin", bytes);
  ASSERT_OK_AND_ASSIGN(const Llama2cCheckpoint read, ReadLlama2cCheckpoint(folder / "m.bin"));

  constexpr size_t kDim = 8;
  constexpr size_t kHead = 4;
  std::vector<double> x_query(kDim);
  std::vector<double> x_key(kDim);
  for (double& value : x_query) value = rng.Normal();
  for (double& value : x_key) value = rng.Normal();
  const auto rows_of = [&](std::span<const float> weight, size_t first_row,
                           const std::vector<double>& x) {
    std::vector<double> y(kHead, 0.0);
    for (size_t r = 0; r < kHead; ++r) {
      for (size_t c = 0; c < kDim; ++c) {
        y[r] += static_cast<double>(weight[(first_row + r) * kDim + c]) * x[c];
      }
    }
    return y;
  };
  const auto rotate = [](std::vector<double> y, double position, bool by_halves) {
    for (size_t i = 0; i < kHead / 2; ++i) {
      const double angle =
          position * std::pow(1e4, -2.0 * static_cast<double>(i) / static_cast<double>(kHead));
      double& a = y[by_halves ? i : 2 * i];
      double& b = y[by_halves ? i + kHead / 2 : 2 * i + 1];
      const double old_a = a;
      a = old_a * std::cos(angle) - b * std::sin(angle);
      b = old_a * std::sin(angle) + b * std::cos(angle);
    }
    return y;
  };
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0.0;
    for (size_t i = 0; i < kHead; ++i) sum += a[i] * b[i];
    return sum;
  };
  const std::span<const float> file_query = std::span(values).subspan(kEmbedding + 16, 64);
  const std::span<const float> file_key = std::span(values).subspan(kEmbedding + 16 + 128, 32);
  const auto query = TensorOf(read.parameters, "model.layers.0.self_attn.q_proj.weight");
  const auto key = TensorOf(read.parameters, "model.layers.0.self_attn.k_proj.weight");

  for (size_t head = 0; head < 2; ++head) {
    const double expected = dot(rotate(rows_of(file_query, head * kHead, x_query), 3.0, false),
                                rotate(rows_of(file_key, 0, x_key), 1.0, false));
    const double converted = dot(rotate(rows_of(query, head * kHead, x_query), 3.0, true),
                                 rotate(rows_of(key, 0, x_key), 1.0, true));
    EXPECT_NEAR(converted, expected, 1e-12 * (1.0 + std::abs(expected)));
    const double unpermuted = dot(rotate(rows_of(file_query, head * kHead, x_query), 3.0, true),
                                  rotate(rows_of(file_key, 0, x_key), 1.0, true));
    EXPECT_GT(std::abs(unpermuted - expected), 1e-3);
  }
}

TEST(Llama2cCheckpointTest, ANegativeVocabularyMeansAClassifierOfItsOwn) {
  const TemporaryDirectory folder;
  WriteBytes(folder / "m.bin", CheckpointBytes({.vocab = -261}, kValues + kEmbedding));

  ASSERT_OK_AND_ASSIGN(const Llama2cCheckpoint read, ReadLlama2cCheckpoint(folder / "m.bin"));

  EXPECT_TRUE(read.shape.has_own_classifier);
  EXPECT_EQ(TensorOf(read.parameters, "lm_head.weight")[0], static_cast<float>(kValues));
}

TEST(Llama2cCheckpointTest, DamagedFilesAreRefusedWithTheNumbers) {
  const TemporaryDirectory folder;
  const auto expect_refusal = [&](const std::string& bytes, const std::string& message) {
    WriteBytes(folder / "m.bin", bytes);
    EXPECT_THAT(ReadLlama2cCheckpoint(folder / "m.bin"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  const std::string good = CheckpointBytes({}, kValues);
  constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
  constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
  constexpr int32_t kLarge = 1 << 24;

  expect_refusal("", "0 bytes are fewer than the 28");
  expect_refusal(good.substr(0, good.size() - 1),
                 fmt::format("asks for {} bytes, the file has {}", good.size(), good.size() - 1));
  expect_refusal(good + "x", fmt::format("the file has {}", good.size() + 1));
  expect_refusal(CheckpointBytes({.dim = 0}, 9), "sizes must be 1..16777216 (header: dim 0");
  expect_refusal(CheckpointBytes({.dim = 0x616b3432, .hidden = 1}, 9), "checkpoint of version 1");
  expect_refusal(CheckpointBytes({.heads = 3}, 9), "dim must be heads times an even number");
  expect_refusal(CheckpointBytes({.heads = 4, .kv_heads = 3}, 9), "a multiple of kv_heads");
  expect_refusal(CheckpointBytes({.vocab = kMin}, 9), "vocab -2147483648");
  expect_refusal(CheckpointBytes({kMax, kMax, kMax, kMax, kMax, kMax, kMax}, 9), "dim 2147483647");
  expect_refusal(CheckpointBytes({kLarge, kLarge, kLarge, 1, 1, kLarge, kLarge}, 9),
                 "do not fit into 64 bytes");
  expect_refusal(CheckpointBytes({kLarge, 1, 1, kLarge / 2, 1, kLarge, kLarge}, 9),
                 "do not fit into 64 bytes");
  std::string with_nan = good;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  with_nan.replace(28 + kEmbedding * 4, 4, reinterpret_cast<const char*>(&nan), 4);
  expect_refusal(with_nan,
                 "model.layers.0.input_layernorm.weight holds a value that is not finite");
}

class ConversionTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteBytes(folder_ / "m.bin", CheckpointBytes({}, kValues));
    WriteBytes(folder_ / "t.bin", TokenizerBytes(TokensWith({" ", "a"})));
  }
  Llama2cFiles Files() const { return {folder_ / "m.bin", folder_ / "t.bin"}; }
  const TemporaryDirectory folder_;
};

TEST_F(ConversionTest, TheFolderHoldsModelConfigurationAndTokenizer) {
  const std::string out = folder_ / "out";

  EXPECT_EQ(ConvertCommand(Files(), out), 0);

  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(out + "/config.json", 1 << 20));
  const nlohmann::json config = nlohmann::json::parse(text);
  EXPECT_EQ(config["architectures"][0], "LlamaForCausalLM");
  EXPECT_EQ(config["hidden_size"], 8);
  EXPECT_EQ(config["intermediate_size"], 12);
  EXPECT_EQ(config["num_key_value_heads"], 1);
  EXPECT_EQ(config["head_dim"], 4);
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile model, ReadSafetensors(out + "/model.safetensors"));
  EXPECT_EQ(model.parameters.size(), kValues - 20);
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, Tokenizer::Load(out));
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.vocab_size(), 261);
}

TEST_F(ConversionTest, ATakenFolderAndFilesThatDoNotFitTogetherAreRefused) {
  EXPECT_THAT(ConvertLlama2c(Files(), folder_.path()),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("not an empty folder")));

  WriteBytes(folder_ / "t.bin", TokenizerBytes(TokensWith({" "})));
  EXPECT_THAT(ConvertLlama2c(Files(), folder_ / "out"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 260 tokens")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));

  EXPECT_EQ(ConvertCommand({folder_ / "none.bin", folder_ / "t.bin"}, folder_ / "out"), 2);
}

TEST_F(ConversionTest, TheRealModelIsConverted) {
  const auto data = TestDataFolder();
  if (!data.has_value()) GTEST_SKIP() << "SKERRY_TEST_DATA names no folder with stories260K.bin";

  ASSERT_OK(ConvertLlama2c({*data + "/stories260K.bin", *data + "/tok512.bin"}, folder_ / "out"));

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile model,
                       ReadSafetensors(folder_ / "out/model.safetensors"));
  // 7 int32 and two tables of 512 * 4 values are not part of the model.
  EXPECT_EQ(model.parameters.size() * 4, 1056540u - 28 - 2 * 512 * 4 * 4);
}

}  // namespace
}  // namespace skerry
