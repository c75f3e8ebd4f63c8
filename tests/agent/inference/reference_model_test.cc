// Tiny models with the logits, hidden states and expert choices that the published modelling code
// gives for them (tests/golden/models/README.md), in every way in which we compute them.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "agent/inference/language_model.h"
#include "common/base/bytes.h"
#include "tests/agent/inference/model_folder.h"

namespace skerry {
namespace {

constexpr double kLogitTolerance = 5e-4;
constexpr double kHiddenTolerance = 2e-4;

// expected.safetensors, which has whole numbers as well.
class Expected {
 public:
  explicit Expected(const std::string& model) : files_(Open(model)) {}

  std::vector<int64_t> Integers(const std::string& name) const {
    const StoredTensor& tensor = files_.tensors().at(name);
    EXPECT_EQ(tensor.dtype, "I64");
    std::vector<int64_t> values(tensor.bytes.size() / sizeof(int64_t));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  std::vector<float> Floats(const std::string& name) const {
    const StoredTensor& tensor = files_.tensors().at(name);
    EXPECT_EQ(tensor.dtype, "F32");
    std::vector<float> values(tensor.bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  bool Has(const std::string& name) const { return files_.tensors().contains(name); }

 private:
  static WeightFiles Open(const std::string& model) {
    // WeightFiles reads folders of models; one with the expected values under that name will do.
    static std::map<std::string, std::unique_ptr<TemporaryDirectory>> folders;
    auto& folder = folders[model];
    if (folder == nullptr) {
      folder = std::make_unique<TemporaryDirectory>();
      std::filesystem::create_symlink(ReferenceFolder(model) + "/expected.safetensors",
                                      *folder / "model.safetensors");
    }
    auto files = WeightFiles::Open(folder->path());
    EXPECT_OK(files.status());
    return *std::move(files);
  }

  WeightFiles files_;
};

double LargestDifference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
  }
  return most;
}

size_t ArgMax(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

using Case = std::tuple<const char*, LatentForm, int>;

class ReferenceModelTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const auto& [name, form, prompt] = GetParam();
    ASSERT_OK_AND_ASSIGN(model_, LanguageModel::Load(ReferenceFolder(name), {.latent_form = form}));
    expected_.emplace(name);
    prompt_ = fmt::format("prompt{}.", prompt);
  }

  // Of all tokens that the trace has seen.
  struct Seen {
    std::map<std::string, std::vector<float>> hidden;
    std::map<std::string, std::vector<RoutedExpert>> routed;
  };
  static LayerTrace Watch(Seen& seen) {
    return {.output =
                [&seen](const LayerInfo& info, std::span<const float> output) {
                  std::vector<float>& all = seen.hidden[info.name];
                  all.insert(all.end(), output.begin(), output.end());
                },
            .routed =
                [&seen](const LayerInfo& info, int64_t, std::span<const RoutedExpert> routed) {
                  std::vector<RoutedExpert>& all = seen.routed[info.name];
                  all.insert(all.end(), routed.begin(), routed.end());
                }};
  }

  void ExpectPrompt(std::span<const float> logits, const Seen& seen) {
    EXPECT_LE(LargestDifference(logits, expected_->Floats(prompt_ + "logits")), kLogitTolerance);
    for (int64_t layer = 0; layer < model_->config().layers; ++layer) {
      const std::string mlp = fmt::format("model.layers.{}.mlp", layer);
      EXPECT_LE(LargestDifference(seen.hidden.at(mlp),
                                  expected_->Floats(prompt_ + fmt::format("hidden.{}", layer))),
                kHiddenTolerance)
          << mlp;
      if (!model_->config().HasExperts(layer)) continue;
      std::vector<int64_t> experts;
      std::vector<float> weights;
      for (const RoutedExpert& one : seen.routed.at(mlp)) {
        experts.push_back(static_cast<int64_t>(one.expert));
        weights.push_back(one.weight);
      }
      EXPECT_EQ(experts, expected_->Integers(prompt_ + fmt::format("experts.{}", layer))) << mlp;
      EXPECT_LE(LargestDifference(
                    weights, expected_->Floats(prompt_ + fmt::format("expert_weights.{}", layer))),
                kHiddenTolerance)
          << mlp;
    }
  }

  std::unique_ptr<LanguageModel> model_;
  std::optional<Expected> expected_;
  std::string prompt_;
};

TEST_P(ReferenceModelTest, PromptAndGreedyStepsAreThoseOfThePublishedCode) {
  const std::vector<int64_t> prompt = expected_->Integers(prompt_ + "input_ids");
  KeyValueCache cache = model_->MakeCache(CacheFormat::kF32);
  Seen seen;
  const LayerTrace trace = Watch(seen);
  ASSERT_OK_AND_ASSIGN(std::span<const float> logits,
                       model_->Forward(prompt, cache, LanguageModel::Logits::kAll, &trace));
  ExpectPrompt(logits, seen);

  const std::vector<int64_t> greedy = expected_->Integers(prompt_ + "greedy_ids");
  const std::vector<float> steps = expected_->Floats(prompt_ + "step_logits");
  const size_t vocabulary = static_cast<size_t>(model_->config().vocabulary);
  logits = logits.last(vocabulary);
  for (size_t step = 0; step < greedy.size(); ++step) {
    EXPECT_LE(LargestDifference(logits, std::span(steps).subspan(step * vocabulary, vocabulary)),
              kLogitTolerance)
        << "step " << step;
    const int64_t token = static_cast<int64_t>(ArgMax(logits));
    ASSERT_EQ(token, greedy[step]) << "step " << step;
    ASSERT_OK_AND_ASSIGN(logits, model_->Forward({&token, 1}, cache, LanguageModel::Logits::kLast));
  }
}

TEST_P(ReferenceModelTest, TokenByTokenGivesTheSame) {
  KeyValueCache cache = model_->MakeCache(CacheFormat::kF32);
  Seen seen;
  const LayerTrace trace = Watch(seen);
  std::vector<float> all;
  for (const int64_t token : expected_->Integers(prompt_ + "input_ids")) {
    ASSERT_OK_AND_ASSIGN(const std::span<const float> logits,
                         model_->Forward({&token, 1}, cache, LanguageModel::Logits::kLast, &trace));
    all.insert(all.end(), logits.begin(), logits.end());
  }
  ExpectPrompt(all, seen);
}

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  const auto& [name, form, prompt] = info.param;
  const char* forms[] = {"auto", "naive", "absorbed"};
  return fmt::format("{}_{}_{}", name, forms[static_cast<int>(form)], prompt);
}

INSTANTIATE_TEST_SUITE_P(DeepSeek, ReferenceModelTest,
                         testing::Combine(testing::Values("deepseek_v2", "deepseek_v3"),
                                          testing::Values(LatentForm::kAuto, LatentForm::kNaive,
                                                          LatentForm::kAbsorbed),
                                          testing::Values(0, 1)),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(Others, ReferenceModelTest,
                         testing::Combine(testing::Values("llama", "qwen2"),
                                          testing::Values(LatentForm::kAuto),
                                          testing::Values(0, 1)),
                         CaseName);

}  // namespace
}  // namespace skerry
