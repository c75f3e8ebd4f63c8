// Language models on one thread: a small one against the same arithmetic in plain loops, a large
// one against the memory's bandwidth, both of random weights.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include "agent/inference/language_model.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/ml/compute.h"
#include "common/tensor/safetensors.h"
#include "tests/bench/median.h"
#include "tests/bench/plain_llama.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

std::vector<TensorShape> TensorsOf(const PlainLlamaShape& shape) {
  const auto size = [](size_t value) { return static_cast<int64_t>(value); };
  const int64_t hidden = size(shape.hidden);
  const int64_t keys = size(shape.hidden / shape.heads * shape.key_heads);
  std::vector<TensorShape> tensors = {
      {"model.embed_tokens.weight", {size(shape.vocabulary), hidden}},
      {"model.norm.weight", {hidden}}};
  for (size_t i = 0; i < shape.layers; ++i) {
    const std::string name = fmt::format("model.layers.{}.", i);
    tensors.push_back({name + "input_layernorm.weight", {hidden}});
    tensors.push_back({name + "self_attn.q_proj.weight", {hidden, hidden}});
    tensors.push_back({name + "self_attn.k_proj.weight", {keys, hidden}});
    tensors.push_back({name + "self_attn.v_proj.weight", {keys, hidden}});
    tensors.push_back({name + "self_attn.o_proj.weight", {hidden, hidden}});
    tensors.push_back({name + "post_attention_layernorm.weight", {hidden}});
    tensors.push_back({name + "mlp.gate_proj.weight", {size(shape.width), hidden}});
    tensors.push_back({name + "mlp.up_proj.weight", {size(shape.width), hidden}});
    tensors.push_back({name + "mlp.down_proj.weight", {hidden, size(shape.width)}});
  }
  return tensors;
}

// A folder with random weights, whose outputs neither vanish nor explode.
ParameterVector WriteModel(const PlainLlamaShape& shape, const std::string& folder) {
  const auto layout = ParameterLayout::Create(TensorsOf(shape));
  SKERRY_ASSERT(layout.ok());
  ParameterVector values(*layout);
  Rng rng(1);
  const float range = 1 / std::sqrt(static_cast<float>(shape.hidden));
  for (float& value : values.values()) {
    value = static_cast<float>(rng.Uniform() * 2 - 1) * range;
  }
  SKERRY_ASSERT(WriteSafetensors(folder + "/model.safetensors", values).ok());
  const std::string config = fmt::format(
      R"({{"model_type": "llama", "hidden_size": {}, "intermediate_size": {},
 "num_hidden_layers": {}, "num_attention_heads": {}, "num_key_value_heads": {}, "vocab_size": {},
 "max_position_embeddings": {}, "rms_norm_eps": 1e-5, "tie_word_embeddings": true}})",
      shape.hidden, shape.width, shape.layers, shape.heads, shape.key_heads, shape.vocabulary,
      shape.positions);
  SKERRY_ASSERT(WriteFileAtomically(folder + "/config.json", config).ok());
  return values;
}

std::unique_ptr<LanguageModel> Load(const std::string& folder) {
  auto model = LanguageModel::Load(folder, {});
  SKERRY_ASSERT(model.ok());
  return *std::move(model);
}

size_t ArgMax(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

// 260,000 parameters, as the tiny stories model has: all of it stays in the cache.
void Small() {
  const PlainLlamaShape shape = {.hidden = 64,
                                 .width = 172,
                                 .layers = 5,
                                 .heads = 8,
                                 .key_heads = 4,
                                 .vocabulary = 512,
                                 .positions = 512};
  constexpr size_t kTokens = 200;
  const TemporaryDirectory folder;
  const ParameterVector values = WriteModel(shape, folder.path());
  std::map<std::string, std::vector<float>> tensors;
  for (size_t i = 0; i < values.layout()->tensors().size(); ++i) {
    const TensorShape& tensor = values.layout()->tensors()[i];
    const auto begin =
        values.values().begin() + static_cast<std::ptrdiff_t>(values.layout()->offset(i));
    tensors[tensor.name] =
        std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(tensor.element_count()));
  }
  PlainLlama plain(shape, std::move(tensors));
  std::vector<size_t> said;
  const double plain_s = MedianSeconds(9, [&] {
    said = {1};
    for (size_t i = 0; i < kTokens; ++i) said.push_back(ArgMax(plain.Run(said.back(), i)));
  });
  const std::unique_ptr<LanguageModel> model = Load(folder.path());
  std::vector<size_t> ours;
  const double ours_s = MedianSeconds(9, [&] {
    KeyValueCache cache = model->MakeCache(CacheFormat::kF32);
    ours = {1};
    for (size_t i = 0; i < kTokens; ++i) {
      const auto token = static_cast<int64_t>(ours.back());
      ours.push_back(ArgMax(*model->Forward({&token, 1}, cache, LanguageModel::Logits::kLast)));
    }
  });
  const double rate = static_cast<double>(kTokens) / 1000;
  std::printf(
      "260 k parameters, %zu tokens of float32: plain loops %.1f k tokens/s, skerry %.1f k, "
      "%.2f times as fast (goal 1); the same tokens: %s\n",
      kTokens, rate / plain_s, rate / ours_s, plain_s / ours_s, said == ours ? "yes" : "NO");
}

double GigabytesPerSecond() {
  std::vector<float> block(100'000'000, 1.0f);
  volatile float sink = 0;
  const double seconds = MedianSeconds(5, [&] {
    float sums[64] = {};
    for (size_t i = 0; i < block.size(); i += 64) {
      for (size_t lane = 0; lane < 64; ++lane) sums[lane] += block[i + lane];
    }
    sink = std::accumulate(sums, sums + 64, 0.0f);
  });
  static_cast<void>(sink);
  return static_cast<double>(block.size() * sizeof(float)) / seconds / 1e9;
}

void Large() {
  const PlainLlamaShape shape = {.hidden = 1024,
                                 .width = 2816,
                                 .layers = 4,
                                 .heads = 16,
                                 .key_heads = 16,
                                 .vocabulary = 1024,
                                 .positions = 1024};
  const TemporaryDirectory folder;
  WriteModel(shape, folder.path());
  const std::unique_ptr<LanguageModel> model = Load(folder.path());
  std::vector<int64_t> prompt(512);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int64_t>(i * 7 % 1024);
  KeyValueCache cache = model->MakeCache(CacheFormat::kF32);
  const double prompt_s = MedianSeconds(5, [&] {
    cache.Truncate(0);
    SKERRY_ASSERT(model->Forward(prompt, cache, LanguageModel::Logits::kLast).ok());
  });
  cache.Truncate(0);
  constexpr size_t kTokens = 32;
  const double token_s =
      MedianSeconds(
          5,
          [&] {
            cache.Truncate(0);
            for (size_t i = 0; i < kTokens; ++i) {
              SKERRY_ASSERT(
                  model->Forward({&prompt[i], 1}, cache, LanguageModel::Logits::kLast).ok());
            }
          }) /
      kTokens;
  uint64_t touched = 0;
  uint64_t multiplications = 0;
  for (const auto& layer : model->layers()) {
    touched += layer->info().weight_bytes_token;
    multiplications += layer->info().multiplications;
  }
  const double bandwidth = GigabytesPerSecond();
  const double used = static_cast<double>(touched) / token_s / 1e9;
  std::printf(
      "%.0f MB of float32: a token %.1f ms, %.1f GB/s of %.1f GB/s that one thread reads "
      "(%.0f %%); a prompt of 512 tokens %.0f tokens/s, %.0f GFLOP/s\n",
      static_cast<double>(model->weight_bytes()) / 1e6, token_s * 1e3, used, bandwidth,
      100 * used / bandwidth, 512 / prompt_s,
      2 * 512 * static_cast<double>(multiplications) / prompt_s / 1e9);
}

}  // namespace
}  // namespace skerry

int main() {
  skerry::PrepareCompute(1);
  std::printf("\nLanguage models\n");
  skerry::Small();
  skerry::Large();
  return 0;
}
