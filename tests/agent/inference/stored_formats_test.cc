// The same numbers stored in another way give the same bits.
#include <cmath>
#include <functional>

#include "agent/inference/language_model.h"
#include "tests/agent/inference/model_folder.h"

namespace skerry {
namespace {

constexpr int kBlockRows = 24;  // the last block of most matrices is cut, both ways
constexpr int kBlockColumns = 40;

std::string InBf16(const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) {
    const auto high = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
    bytes.append(reinterpret_cast<const char*>(&high), sizeof(high));
  }
  return bytes;
}
std::string InF16(const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) {
    const uint16_t half = ToHalf(value);
    bytes.append(reinterpret_cast<const char*>(&half), sizeof(half));
  }
  return bytes;
}

// To the nearest number of `bits` bits of mantissa with an exponent of -6 at least, at most 448:
// exact in all formats for 3 bits.
float Rounded(float value) {
  if (value == 0) return 0;
  const float step = std::ldexp(1.0f, std::max(std::ilogb(value), -6) - 3);
  return std::clamp(std::nearbyint(value / step) * step, -448.0f, 448.0f);
}

uint8_t E4m3Of(float value) {
  for (int code = 0; code < 256; ++code) {
    const float decoded = FromE4m3(static_cast<uint8_t>(code));
    if (decoded == value && std::signbit(decoded) == std::signbit(value)) {
      return static_cast<uint8_t>(code);
    }
  }
  ADD_FAILURE() << value << " is not in E4M3";
  return 0;
}

std::vector<float> Logits(const std::string& folder) {
  auto model = LanguageModel::Load(folder, {});
  EXPECT_OK(model.status());
  if (!model.ok()) return {};
  KeyValueCache cache = (*model)->MakeCache(CacheFormat::kF32);
  std::vector<float> all;
  std::vector<int64_t> prompt;
  for (int64_t token = 0; token < 40; ++token) prompt.push_back(token * 7 % 300);
  const auto logits = (*model)->Forward(prompt, cache, LanguageModel::Logits::kAll);
  EXPECT_OK(logits.status());
  all.assign(logits->begin(), logits->end());
  for (int64_t token = 0; token < 5; ++token) {  // and by the way of single tokens
    const auto next = (*model)->Forward({&token, 1}, cache, LanguageModel::Logits::kLast);
    EXPECT_OK(next.status());
    all.insert(all.end(), next->begin(), next->end());
  }
  return all;
}

bool IsMatrix(const RawTensor& tensor) { return tensor.sizes.size() == 2; }

class StoredFormatsTest : public testing::TestWithParam<const char*> {
 protected:
  // Every number of the model becomes one that all formats hold.
  StoredFormatsTest() : folder_(GetParam()) {
    for (auto& [name, tensor] : folder_.tensors) {
      std::vector<float> values = FloatsOf(tensor);
      for (float& value : values) value = Rounded(value);
      tensor.bytes = BytesOfFloats(values);
    }
  }

  void Store(const std::string& dtype, std::string (*convert)(const std::vector<float>&)) {
    for (auto& [name, tensor] : folder_.tensors) {
      tensor.bytes = convert(FloatsOf(tensor));
      tensor.dtype = dtype;
    }
  }

  ModelFolder folder_;
};

TEST_P(StoredFormatsTest, HalvesAndShardsGiveTheSameBits) {
  const std::vector<float> expected = Logits(folder_.Write());
  ASSERT_FALSE(expected.empty());
  ModelFolder shards = ModelFolder(GetParam());
  shards.tensors = folder_.tensors;
  EXPECT_EQ(Logits(shards.WriteTwoShards()), expected);

  const RawTensors original = folder_.tensors;
  Store("BF16", InBf16);
  EXPECT_EQ(Logits(folder_.Write()), expected) << "BF16";
  ModelFolder half_shards = ModelFolder(GetParam());
  half_shards.tensors = folder_.tensors;
  EXPECT_EQ(Logits(half_shards.WriteTwoShards()), expected) << "BF16 in two shards";
  folder_.tensors = original;
  Store("F16", InF16);
  EXPECT_EQ(Logits(folder_.Write()), expected) << "F16";
}

// DeepSeek's layout: matrices in E4M3 with a scale for each block, vectors in BF16.
TEST_P(StoredFormatsTest, BlocksOfE4m3GiveTheSameBits) {
  RawTensors stored;
  for (auto& [name, tensor] : folder_.tensors) {
    const std::vector<float> values = FloatsOf(tensor);
    const bool is_block = IsMatrix(tensor) && name.find("embed") == std::string::npos &&
                          name.find("lm_head") == std::string::npos &&
                          name.find("mlp.gate.weight") == std::string::npos;
    if (!is_block) {
      stored[name] = {"BF16", tensor.sizes, InBf16(values)};
      continue;
    }
    const auto rows = static_cast<size_t>(tensor.sizes[0]);
    const auto columns = static_cast<size_t>(tensor.sizes[1]);
    const size_t block_rows = (rows + kBlockRows - 1) / kBlockRows;
    const size_t block_columns = (columns + kBlockColumns - 1) / kBlockColumns;
    std::vector<float> scales(block_rows * block_columns);
    for (size_t i = 0; i < scales.size(); ++i) {
      scales[i] = std::ldexp(1.0f, static_cast<int>(i % 3) - 1);
    }
    // Powers of two: the products are exact.
    std::string codes;
    std::vector<float> products = values;
    for (size_t row = 0; row < rows; ++row) {
      for (size_t column = 0; column < columns; ++column) {
        const uint8_t code = E4m3Of(values[row * columns + column]);
        codes += static_cast<char>(code);
        products[row * columns + column] *=
            scales[row / kBlockRows * block_columns + column / kBlockColumns];
      }
    }
    stored[name] = {"F8_E4M3", tensor.sizes, codes};
    stored[name + "_scale_inv"] = {
        "F32",
        {static_cast<int64_t>(block_rows), static_cast<int64_t>(block_columns)},
        BytesOfFloats(scales)};
    tensor.bytes = BytesOfFloats(products);
  }
  const std::vector<float> expected = Logits(folder_.Write());
  ASSERT_FALSE(expected.empty());
  folder_.tensors = stored;
  folder_.config["quantization_config"] = {{"quant_method", "fp8"},
                                           {"fmt", "e4m3"},
                                           {"activation_scheme", "dynamic"},
                                           {"weight_block_size", {kBlockRows, kBlockColumns}}};

  EXPECT_EQ(Logits(folder_.Write()), expected);
  ModelFolder shards = ModelFolder(GetParam());
  shards.tensors = folder_.tensors;
  shards.config = folder_.config;
  EXPECT_EQ(Logits(shards.WriteTwoShards()), expected);
}

INSTANTIATE_TEST_SUITE_P(Models, StoredFormatsTest,
                         testing::Values("deepseek_v2", "deepseek_v3", "llama", "qwen2"));

}  // namespace
}  // namespace skerry
