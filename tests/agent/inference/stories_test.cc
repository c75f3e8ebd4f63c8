// A real model, llama2.c's stories260K, on real text. Its files are not in the repository:
// SKERRY_TEST_DATA names a folder with stories260K.bin, tok512.bin and the two texts.
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "agent/conversion/llama2c_conversion.h"
#include "agent/inference/generator.h"
#include "agent/tokenizer/tokenizer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

// What `./run stories260K.bin -z tok512.bin -t 0.0 -n 200` prints (llama2.c, test_all.py).
constexpr const char* kStory =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball. She wanted to play with it, but it was too high.\n"
    "Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. She "
    "said, \"I want to play with your ball, but I can't find it.\"\n"
    "Lily was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to "
    "do.\"\n"
    "Lily didn't want to help her mom, so she";
constexpr size_t kContext = 512;  // the model's

std::string WithPlainQuotes(std::string text) {
  for (const auto& [mark, plain] :
       {std::pair{"\u201c", "\""}, {"\u201d", "\""}, {"\u2018", "'"}, {"\u2019", "'"}}) {
    for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos;)
      text.replace(at, 3, plain);
  }
  return text;
}

class StoriesTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("SKERRY_TEST_DATA");
    if (data == nullptr) GTEST_SKIP() << "SKERRY_TEST_DATA names no folder with stories260K.bin";
    data_ = data;
    ASSERT_OK(ConvertLlama2c({data_ + "/stories260K.bin", data_ + "/tok512.bin"}, model_path()));
    ASSERT_OK_AND_ASSIGN(model_, LanguageModel::Load(model_path(), {}));
    ASSERT_OK_AND_ASSIGN(tokenizer_, Tokenizer::Load(model_path()));
  }
  std::string model_path() const { return folder_ / "model"; }

  std::vector<std::string> Lines(const std::string& name) const {
    std::ifstream file(data_ + "/" + name);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) {
      if (line.ends_with('\r')) line.pop_back();
      if (!line.empty()) lines.push_back(line);
    }
    return lines;
  }

  struct Score {
    double perplexity = 0;
    size_t predicted = 0;
  };
  // Each story alone after the beginning of a text, as much of it as the model has positions for.
  Score Read(const std::vector<std::string>& stories) {
    double sum = 0;
    Score score;
    const auto vocabulary = static_cast<size_t>(model_->config().vocabulary);
    for (const std::string& story : stories) {
      const auto encoded = tokenizer_->Encode(story, {.add_special = true});
      EXPECT_OK(encoded.status());
      std::vector<int64_t> ids(encoded->begin(), encoded->end());
      ids.resize(std::min(ids.size(), kContext));
      KeyValueCache cache = model_->MakeCache(CacheFormat::kF32);
      const auto logits = model_->Forward(ids, cache, LanguageModel::Logits::kAll);
      EXPECT_OK(logits.status());
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        const auto row = logits->subspan(i * vocabulary, vocabulary);
        const double most = *std::max_element(row.begin(), row.end());
        double total = 0;
        for (const float logit : row) total += std::exp(static_cast<double>(logit) - most);
        sum += most + std::log(total) - static_cast<double>(row[static_cast<size_t>(ids[i + 1])]);
        ++score.predicted;
      }
    }
    score.perplexity = std::exp(sum / static_cast<double>(score.predicted));
    return score;
  }

  const TemporaryDirectory folder_;
  std::string data_;
  std::unique_ptr<LanguageModel> model_;
  std::optional<Tokenizer> tokenizer_;
};

TEST_F(StoriesTest, TwoHundredGreedyTokensAreLlama2csByteForByte) {
  Generator generator(*model_, CacheFormat::kF32);
  GenerationRequest request;
  ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> prompt,
                       tokenizer_->Encode("", {.add_special = true}));
  request.prompt.assign(prompt.begin(), prompt.end());
  request.tokens_max = 200;

  ASSERT_OK_AND_ASSIGN(const Generation generation, generator.Generate(request));

  const std::vector<int32_t> ids(generation.tokens.begin(), generation.tokens.end());
  ASSERT_OK_AND_ASSIGN(const std::string text, tokenizer_->Decode(ids));
  EXPECT_EQ(text, kStory);
}

TEST_F(StoriesTest, PerplexityIsThatOfTheReference) {
  std::vector<std::string> sample;
  std::string story;
  for (const std::string& line : Lines("tinystories_sample.txt")) {
    if (line == "<|endoftext|>") {
      sample.push_back(std::exchange(story, {}));
    } else {
      story += (story.empty() ? "" : "\n") + line;
    }
  }
  ASSERT_EQ(sample.size(), 5u);
  // As the text stands; the reference's figure, 3.540, is that of plain quotation marks.
  EXPECT_NEAR(Read(sample).perplexity, 3.548, 0.004);
  for (std::string& text : sample) text = WithPlainQuotes(text);
  EXPECT_NEAR(Read(sample).perplexity, 3.540, 0.004);

  // The first line is the second one once more, in other words.
  std::vector<std::string> valid = Lines("tinystories_valid18.txt");
  valid.erase(valid.begin());
  ASSERT_EQ(valid.size(), 18u);
  const Score score = Read(valid);
  EXPECT_EQ(score.predicted, 8'728u);
  EXPECT_NEAR(score.perplexity, 5.188, 0.005);
}

}  // namespace
}  // namespace skerry
