// DeepSeek-V3's tokenizer against ids that the reference implementation gave: with the part of its
// file that these texts need, and with the whole file where scripts/fetch_tokenizer has put it.
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "agent/tokenizer/tokenizer.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using Ids = std::vector<int32_t>;

const std::string kGolden = std::string(SKERRY_SOURCE_DIR) + "/tests/golden/tokenizer";
const std::string kFull = std::string(SKERRY_SOURCE_DIR) + "/.cache/deepseek_v3/tokenizer.json";

nlohmann::json Cases() {
  std::ifstream file(kGolden + "/deepseek_v3_cases.json");
  return nlohmann::json::parse(file);
}

void ExpectEveryCase(const std::string& path) {
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, Tokenizer::Load(path));
  const nlohmann::json cases = Cases();
  ASSERT_EQ(cases["cases"].size(), 60u);
  ASSERT_EQ(cases["cut_off_ids"].size(), 20u);

  for (const auto& entry : cases["cases"]) {
    const std::string text = entry["text"];
    const Ids ids = entry["ids"];
    SCOPED_TRACE(text);
    ASSERT_OK_AND_ASSIGN(const Ids encoded, tokenizer.Encode(text));
    EXPECT_EQ(encoded, ids);
    ASSERT_OK_AND_ASSIGN(const std::string decoded, tokenizer.Decode(ids));
    EXPECT_EQ(decoded, text);
    ASSERT_OK_AND_ASSIGN(const std::string plain, tokenizer.Decode(ids, {.skip_special = true}));
    EXPECT_EQ(plain, entry.value("decoded_skip_special", text));
  }
  for (const auto& entry : cases["cut_off_ids"]) {
    const Ids ids = entry["ids"];
    ASSERT_OK_AND_ASSIGN(const std::string decoded, tokenizer.Decode(ids));
    EXPECT_EQ(decoded, entry["decoded"].get<std::string>());
  }
}

TEST(DeepSeekCasesTest, TheCutFileGivesTheReferencesIdsAndTexts) {
  ExpectEveryCase(kGolden + "/deepseek_v3_cut.json");
}

TEST(DeepSeekCasesTest, TheWholeFileGivesTheReferencesIdsAndTexts) {
  if (!std::filesystem::exists(kFull)) {
    GTEST_SKIP() << "no " << kFull << ": scripts/fetch_tokenizer gets it";
  }
  ExpectEveryCase(kFull);
}

// Id by id the same text comes out, and every part of it is whole characters.
TEST(DeepSeekCasesTest, StreamingGivesTheSameTextInWholeCharacters) {
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer,
                       Tokenizer::Load(kGolden + "/deepseek_v3_cut.json"));
  const nlohmann::json cases = Cases();

  for (const char* const kind : {"cases", "cut_off_ids"}) {
    for (const auto& entry : cases[kind]) {
      const Ids ids = entry["ids"];
      StreamingDecoder stream = tokenizer.Stream();
      std::string text;
      for (const int32_t id : ids) {
        ASSERT_OK_AND_ASSIGN(const std::string part, stream.Push(id));
        EXPECT_NO_THROW(nlohmann::json(part).dump()) << "half a character";
        text += part;
      }
      text += stream.Finish();
      EXPECT_EQ(text, entry[entry.contains("text") ? "text" : "decoded"].get<std::string>());
    }
  }
}

TEST(DeepSeekCasesTest, TheCutKeepsIdsOfAddedTokensAndTheEndOfTheVocabulary) {
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer,
                       Tokenizer::Load(kGolden + "/deepseek_v3_cut.json"));

  EXPECT_EQ(tokenizer.vocab_size(), 128815);
  EXPECT_EQ(tokenizer.IdOf("<｜end▁of▁sentence｜>"), 1);
  EXPECT_EQ(tokenizer.IdOf("<｜Assistant｜>"), 128804);
  EXPECT_EQ(tokenizer.TokenOf(128814), "<｜tool▁sep｜>");
  EXPECT_EQ(tokenizer.TokenOf(128815), std::nullopt);
}

}  // namespace
}  // namespace skerry
