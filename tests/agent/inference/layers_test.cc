// The list of layers: each runs alone, and what each says of itself adds up.
#include <algorithm>

#include "agent/inference/language_model.h"
#include "tests/agent/inference/model_folder.h"

namespace skerry {
namespace {

class LayersTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(model_, LanguageModel::Load(ReferenceFolder(GetParam()), {}));
  }
  std::unique_ptr<LanguageModel> model_;
};

TEST_P(LayersTest, OneAfterTheOtherByHandTheyAreTheModel) {
  const std::vector<int64_t> tokens = {0, 5, 9, 30, 7};
  KeyValueCache whole = model_->MakeCache(CacheFormat::kF32);
  ASSERT_OK_AND_ASSIGN(const std::span<const float> logits,
                       model_->Forward(tokens, whole, LanguageModel::Logits::kAll));
  const std::vector<float> expected(logits.begin(), logits.end());

  KeyValueCache cache = model_->MakeCache(CacheFormat::kF32);
  std::vector<float> values;
  for (const auto& layer : model_->layers()) {
    const LayerInfo& info = layer->info();
    ASSERT_EQ(values.size(), info.input_width * (info.input_width == 0 ? 0 : tokens.size()));
    std::vector<float> output(info.output_width * tokens.size());
    layer->Run({.tokens = info.input_width == 0 ? std::span<const int64_t>(tokens)
                                                : std::span<const int64_t>(),
                .values = values,
                .count = tokens.size(),
                .first_position = 0,
                .cache = &cache},
               output);
    values = std::move(output);
  }

  EXPECT_EQ(values, expected);
}

// Matrices alone; norms and biases are small and not counted.
TEST_P(LayersTest, BytesAndMultiplicationsAreThoseOfTheMatrices) {
  const LanguageModelConfig& config = model_->config();
  uint64_t matrix_bytes = 0;
  for (const auto& [name, tensor] : ReadTensors(ReferenceFolder(GetParam()))) {
    const std::string extra = fmt::format("model.layers.{}.", config.layers);
    if (tensor.sizes.size() == 2 && !name.starts_with(extra)) matrix_bytes += tensor.bytes.size();
  }
  uint64_t bytes = 0;
  uint64_t cache_row_size = 0;
  for (const auto& layer : model_->layers()) {
    const LayerInfo& info = layer->info();
    bytes += info.weight_bytes;
    cache_row_size += info.cache_row_size;
    EXPECT_LE(info.weight_bytes_token, std::max(info.weight_bytes, matrix_bytes)) << info.name;
    // One multiplication for each float32 weight that a token touches, but for the embedding.
    if (info.kind != StageKind::kEmbedding) {
      EXPECT_EQ(info.multiplications * sizeof(float), info.weight_bytes_token) << info.name;
    }
  }
  EXPECT_EQ(bytes, matrix_bytes);
  KeyValueCache cache = model_->MakeCache(CacheFormat::kF32);
  EXPECT_EQ(cache_row_size, cache.row_size() * static_cast<uint64_t>(config.layers));
}

INSTANTIATE_TEST_SUITE_P(Models, LayersTest,
                         testing::Values("deepseek_v2", "deepseek_v3", "llama", "qwen2"));

}  // namespace
}  // namespace skerry
