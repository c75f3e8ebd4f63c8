// How much a cache takes, to the byte, and what its formats keep.
#include "agent/inference/cache.h"

#include <cmath>

#include "agent/inference/language_model.h"
#include "common/base/rng.h"
#include "tests/agent/inference/model_folder.h"

namespace skerry {
namespace {

std::vector<float> Draw(Rng& rng, size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.Uniform() * 2 - 1);
  return values;
}

TEST(CacheTest, RowsAreKeptExactlyOrToTheFormatsPrecision) {
  constexpr size_t kRowSize = 37;  // the last block of kQ8 is short
  Rng rng(3);
  for (const auto& [format, tolerance] : {std::pair{CacheFormat::kF32, 0.0},
                                          {CacheFormat::kF16, 0x1p-11},
                                          {CacheFormat::kQ8, 1 / 250.0}}) {
    KeyValueCache cache({.layers = 2, .row_size = kRowSize}, format);
    std::vector<std::vector<float>> rows;
    for (size_t position = 0; position < 5; ++position) {
      rows.push_back(Draw(rng, kRowSize));
      cache.Write(0, position, rows.back());
      cache.Write(1, position, Draw(rng, kRowSize));
      const int64_t token = static_cast<int64_t>(position);
      cache.Append({&token, 1});
    }
    rows[2] = Draw(rng, kRowSize);
    cache.Write(0, 2, rows[2]);
    std::vector<float> scratch;
    const float* const read = cache.Read(0, 5, scratch);
    for (size_t position = 0; position < 5; ++position) {
      for (size_t i = 0; i < kRowSize; ++i) {
        ASSERT_NEAR(read[position * kRowSize + i], rows[position][i], tolerance);
      }
    }
    cache.Truncate(3);
    EXPECT_EQ(cache.length(), 3u);
    cache.Write(0, 3, rows[4]);
    EXPECT_NEAR(cache.Read(0, 4, scratch)[3 * kRowSize], rows[4][0], tolerance);
  }
}

TEST(CacheTest, ABlockOfZerosStaysZeros) {
  KeyValueCache cache({.layers = 1, .row_size = 16}, CacheFormat::kQ8);
  cache.Write(0, 0, std::vector<float>(16));
  std::vector<float> scratch;
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(cache.Read(0, 1, scratch)[i], 0.0f);
}

// (kv_lora_rank + rope) x bytes(type) x layers x tokens; 16 numbers of kQ8 share two bytes of
// scale.
TEST(CacheTest, LatentAttentionKeepsItsLatentsAndNothingElse) {
  for (const auto& [name, row] : {std::pair{"deepseek_v3", 32 + 16}, {"deepseek_v2", 40 + 8}}) {
    ASSERT_OK_AND_ASSIGN(const auto model, LanguageModel::Load(ReferenceFolder(name), {}));
    const auto layers = static_cast<uint64_t>(model->config().layers);
    std::vector<int64_t> tokens(21, 5);
    for (const auto& [format, bytes] :
         {std::pair{CacheFormat::kF32, 4.0}, {CacheFormat::kF16, 2.0}, {CacheFormat::kQ8, 1.125}}) {
      KeyValueCache cache = model->MakeCache(format);
      ASSERT_OK(model->Forward(tokens, cache, LanguageModel::Logits::kLast).status());
      EXPECT_EQ(cache.bytes(), static_cast<uint64_t>(row * bytes) * layers * tokens.size()) << name;
    }
  }
}

TEST(CacheTest, SmallerFormatsMoveTheLogitsLittle) {
  for (const char* name : {"deepseek_v2", "deepseek_v3", "llama", "qwen2"}) {
    ASSERT_OK_AND_ASSIGN(const auto model, LanguageModel::Load(ReferenceFolder(name), {}));
    std::vector<int64_t> tokens;
    for (int64_t i = 0; i < 40; ++i) tokens.push_back(i * 7 % 300);
    std::vector<std::vector<float>> logits;
    for (const CacheFormat format : {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kQ8}) {
      KeyValueCache cache = model->MakeCache(format);
      ASSERT_OK_AND_ASSIGN(const std::span<const float> last,
                           model->Forward(tokens, cache, LanguageModel::Logits::kLast));
      logits.emplace_back(last.begin(), last.end());
    }
    double worst_f16 = 0;
    double worst_q8 = 0;
    for (size_t i = 0; i < logits[0].size(); ++i) {
      worst_f16 = std::max<double>(worst_f16, std::abs(logits[1][i] - logits[0][i]));
      worst_q8 = std::max<double>(worst_q8, std::abs(logits[2][i] - logits[0][i]));
    }
    EXPECT_LT(worst_f16, 0.05) << name;  // logits have a standard deviation of about 2.5
    EXPECT_LT(worst_q8, 0.8) << name;
    EXPECT_GT(worst_q8, 0) << name;
  }
}

}  // namespace
}  // namespace skerry
