// Generation: what a cached prefix saves, when it stops, and how tokens are drawn.
#include "agent/inference/generator.h"

#include <array>
#include <cmath>

#include "tests/agent/inference/model_folder.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class GeneratorTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(model_, LanguageModel::Load(ReferenceFolder("deepseek_v3"), {}));
  }
  static GenerationRequest Request(std::vector<int64_t> prompt, size_t count) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.tokens_max = count;
    request.ignores_end = true;
    return request;
  }
  // By a generator that knows nothing yet.
  std::vector<int64_t> Fresh(const GenerationRequest& request) {
    Generator generator(*model_, CacheFormat::kF32);
    const auto generation = generator.Generate(request);
    EXPECT_OK(generation.status());
    return generation->tokens;
  }

  std::unique_ptr<LanguageModel> model_;
};

TEST_F(GeneratorTest, APromptThatBeginsLikeTheLastOnePaysForTheRestOnly) {
  Generator generator(*model_, CacheFormat::kF32);
  ASSERT_OK_AND_ASSIGN(const Generation first, generator.Generate(Request({0, 5, 9, 30}, 6)));
  EXPECT_EQ(first.reused_tokens, 0u);

  // What was generated is known as well, but for the last token, which nobody has asked about yet.
  std::vector<int64_t> longer = {0, 5, 9, 30};
  longer.insert(longer.end(), first.tokens.begin(), first.tokens.end());
  longer.push_back(77);
  ASSERT_OK_AND_ASSIGN(const Generation second, generator.Generate(Request(longer, 5)));
  EXPECT_EQ(second.reused_tokens, 9u);
  EXPECT_EQ(second.tokens, Fresh(Request(longer, 5)));

  ASSERT_OK_AND_ASSIGN(const Generation other, generator.Generate(Request({0, 5, 200, 1}, 5)));
  EXPECT_EQ(other.reused_tokens, 2u);
  EXPECT_EQ(other.tokens, Fresh(Request({0, 5, 200, 1}, 5)));

  // The same again: its last token is computed, for the logits.
  ASSERT_OK_AND_ASSIGN(const Generation same, generator.Generate(Request({0, 5, 200, 1}, 5)));
  EXPECT_EQ(same.reused_tokens, 3u);
  EXPECT_EQ(same.tokens, other.tokens);
}

TEST_F(GeneratorTest, ItStopsAtTheEndOfTheTextUnlessToldNotTo) {
  // Whatever this model says third is made the end.
  const std::vector<int64_t> tokens = Fresh(Request({0, 5, 9}, 5));
  ModelFolder folder("deepseek_v3");
  folder.config["eos_token_id"] = {tokens[2], 1};
  ASSERT_OK_AND_ASSIGN(const auto model, LanguageModel::Load(folder.Write(), {}));
  Generator generator(*model, CacheFormat::kF32);
  GenerationRequest request = Request({0, 5, 9}, 5);
  request.ignores_end = false;
  std::vector<int64_t> heard;
  request.on_token = [&](int64_t token) {
    heard.push_back(token);
    return true;
  };

  ASSERT_OK_AND_ASSIGN(const Generation generation, generator.Generate(request));

  EXPECT_EQ(generation.finish_reason, FinishReason::kEndOfText);
  EXPECT_THAT(generation.tokens, ElementsAre(tokens[0], tokens[1]));
  EXPECT_THAT(heard, ElementsAre(tokens[0], tokens[1], tokens[2]));
  request.ignores_end = true;
  ASSERT_OK_AND_ASSIGN(const Generation all, generator.Generate(request));
  EXPECT_EQ(all.tokens, tokens);
  EXPECT_EQ(all.finish_reason, FinishReason::kLength);
  request.on_token = [](int64_t) { return false; };
  ASSERT_OK_AND_ASSIGN(const Generation one, generator.Generate(request));
  EXPECT_EQ(one.finish_reason, FinishReason::kStopped);
  EXPECT_EQ(one.tokens.size(), 1u);
}

TEST_F(GeneratorTest, RequestsOutOfRangeAreRefusedAndChangeNothing) {
  Generator generator(*model_, CacheFormat::kF32);
  ASSERT_OK(generator.Generate(Request({0, 5, 9}, 3)).status());
  const size_t length = generator.cache().length();
  const auto refused = [&](const GenerationRequest& request, const char* text) {
    EXPECT_THAT(generator.Generate(request),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
  };
  refused(Request({}, 3), "no token");
  refused(Request({1}, size_t{1} << 40), "40960 positions");
  GenerationRequest hot = Request({1}, 1);
  hot.sampling.temperature = -1;
  refused(hot, "temperature must be 0..100, got -1");
  hot.sampling = {.top_k = -5};
  refused(hot, "top_k");
  hot.sampling = {.top_p = 0};
  refused(hot, "top_p");
  EXPECT_EQ(generator.cache().length(), length);
  EXPECT_THAT(generator.Generate(Request({320}, 1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0..319")));
}

TEST(SamplerTest, TokensComeAsOftenAsTheirProbabilities) {
  const std::array<float, 5> logits = {1.0f, 2.0f, 0.5f, -1.0f, 1.5f};
  constexpr int kDraws = 200'000;
  const auto frequencies = [&](const SamplingOptions& options) {
    Sampler sampler(options, Rng(9));
    std::array<double, 5> counts = {};
    for (int i = 0; i < kDraws; ++i) counts[static_cast<size_t>(sampler.Choose(logits))] += 1;
    for (double& count : counts) count /= kDraws;
    return counts;
  };
  // With the kept tokens' exponentials, by hand.
  const auto expect = [](const std::array<double, 5>& got, std::array<double, 5> weights) {
    double sum = 0;
    for (const double weight : weights) sum += weight;
    for (size_t i = 0; i < 5; ++i) {
      const double share = weights[i] / sum;
      EXPECT_NEAR(got[i], share, 5 * std::sqrt(share / kDraws) + 1e-9) << i;
    }
  };
  const auto e = [](double x) { return std::exp(x); };
  expect(frequencies({.temperature = 1}), {e(1), e(2), e(0.5), e(-1), e(1.5)});
  expect(frequencies({.temperature = 0.5}), {e(2), e(4), e(1), e(-2), e(3)});
  expect(frequencies({.temperature = 1, .top_k = 2}), {0, e(2), 0, 0, e(1.5)});
  // 0.445 and 0.270 of all together are 0.715: the third is needed for 0.75, not for 0.71.
  expect(frequencies({.temperature = 1, .top_p = 0.75}), {e(1), e(2), 0, 0, e(1.5)});
  expect(frequencies({.temperature = 1, .top_p = 0.71}), {0, e(2), 0, 0, e(1.5)});
  EXPECT_EQ(frequencies({})[1], 1.0);
}

}  // namespace
}  // namespace skerry
