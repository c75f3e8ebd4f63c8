// The converted tokenizer against llama2.c's own algorithm, written down again as plainly as it is
// there: all neighbours are looked at for every merge.
#include "agent/conversion/llama2c_tokenizer.h"

#include <cmath>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "agent/tokenizer/tokenizer.h"
#include "tests/agent/conversion/llama2c_files.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using Ids = std::vector<int32_t>;
using testing::HasSubstr;

// encode() of llama2.c's run.c, without BOS and EOS.
Ids PlainEncode(const std::vector<Llama2cToken>& tokens, const std::string& text) {
  std::map<std::string, int32_t> id_of;
  for (size_t id = 0; id < tokens.size(); ++id) {
    id_of.emplace(tokens[id].text, static_cast<int32_t>(id));
  }
  Ids ids;
  if (!text.empty()) ids.push_back(id_of.at(" "));
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    while (end < text.size() && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) ++end;
    const std::string character = text.substr(at, end - at);
    if (const auto found = id_of.find(character); found != id_of.end()) {
      ids.push_back(found->second);
    } else {
      for (const char byte : character) ids.push_back(static_cast<uint8_t>(byte) + 3);
    }
    at = end;
  }
  while (true) {
    float best_score = -1e10f;
    size_t best = ids.size();
    int32_t best_id = -1;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = id_of.find(tokens[static_cast<size_t>(ids[i])].text +
                                    tokens[static_cast<size_t>(ids[i + 1])].text);
      if (found == id_of.end()) continue;
      const float score = tokens[static_cast<size_t>(found->second)].score;
      if (score <= best_score) continue;
      best_score = score;
      best = i;
      best_id = found->second;
    }
    if (best_id < 0) return ids;
    ids[best] = best_id;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

std::vector<Llama2cToken> Parsed(const std::string& bytes) {
  auto tokens = ParseLlama2cTokenizer(bytes);
  EXPECT_OK(tokens);
  return *tokens;
}

Tokenizer Converted(const std::vector<Llama2cToken>& tokens) {
  auto tokenizer = Tokenizer::Parse(TokenizerJsonOf(tokens), TokenizerConfigJson(), "converted");
  EXPECT_OK(tokenizer);
  return *tokenizer;
}

void ExpectSameIds(const std::vector<Llama2cToken>& tokens, const Tokenizer& tokenizer,
                   const std::string& text) {
  ASSERT_OK_AND_ASSIGN(const Ids ids, tokenizer.Encode(text));
  EXPECT_EQ(ids, PlainEncode(tokens, text)) << text;
  ASSERT_OK_AND_ASSIGN(const std::string decoded, tokenizer.Decode(ids));
  EXPECT_EQ(decoded, text);
}

std::vector<std::string> LinesOf(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  EXPECT_FALSE(lines.empty()) << path;
  return lines;
}

TEST(Llama2cTokenizerTest, IdsOfGeneratedTextsAreThoseOfThePlainAlgorithm) {
  // Merges that overlap each other and themselves, characters of two and three bytes, none for "z".
  const std::vector<Llama2cToken> tokens = Parsed(
      TokenizerBytes(TokensWith({"aa", "ab", "bab", "aaa", " a", "ba", "abab", " ab", "é€", "aé",
                                 "b€b", "aaaa", "  ", "a b", " ", "a", "b", "é", "€"})));
  const Tokenizer tokenizer = Converted(tokens);
  const std::vector<std::string> parts = {"a", "b", " ", "é", "€", "z", "\n", "😀"};
  Rng rng(7);

  ExpectSameIds(tokens, tokenizer, "");
  for (int i = 0; i < 1000; ++i) {
    std::string text;
    const uint64_t length = 1 + rng.Below(24);
    for (uint64_t k = 0; k < length; ++k) text += parts[rng.Below(i % 2 == 0 ? 3 : parts.size())];
    ExpectSameIds(tokens, tokenizer, text);
  }
}

TEST(Llama2cTokenizerTest, IdsOfRealStoriesAreThoseOfThePlainAlgorithm) {
  const auto folder = TestDataFolder();
  if (!folder.has_value()) GTEST_SKIP() << "SKERRY_TEST_DATA names no folder with tok512.bin";
  std::ifstream file(*folder + "/tok512.bin", std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  const std::vector<Llama2cToken> tokens = Parsed(bytes.str());
  ASSERT_EQ(tokens.size(), 512u);
  const Tokenizer tokenizer = Converted(tokens);

  size_t id_count = 0;
  for (const char* const name : {"/tinystories_valid18.txt", "/tinystories_sample.txt"}) {
    for (const std::string& story : LinesOf(*folder + name)) {
      ExpectSameIds(tokens, tokenizer, story);
      id_count += PlainEncode(tokens, story).size();
    }
  }
  EXPECT_GT(id_count, 9000u);
}

TEST(Llama2cTokenizerTest, APromptBeginsWithBosOnceAndSpecialTokensAreSkippedOnRequest) {
  const Tokenizer tokenizer = Converted(Parsed(TokenizerBytes(TokensWith({" a", " ", "a"}))));

  ASSERT_OK_AND_ASSIGN(const Ids prompt, tokenizer.Encode("a", {.add_special = true}));
  EXPECT_EQ(prompt, (Ids{1, 259}));
  ASSERT_OK_AND_ASSIGN(const Ids marked, tokenizer.Encode("<s>a", {.add_special = true}));
  EXPECT_EQ(marked, (Ids{1, 259}));
  ASSERT_OK_AND_ASSIGN(const Ids empty, tokenizer.Encode("", {.add_special = true}));
  EXPECT_EQ(empty, (Ids{1}));
  ASSERT_OK_AND_ASSIGN(const std::string text, tokenizer.Decode(prompt, {.skip_special = true}));
  EXPECT_EQ(text, "a");
}

TEST(Llama2cTokenizerTest, DamagedFilesAreRefusedWithTheNumbers) {
  const auto tokens = TokensWith({" ", "a"});
  const std::string bytes = TokenizerBytes(tokens);
  const auto expect_refusal = [](const std::string& damaged, const std::string& message) {
    EXPECT_THAT(ParseLlama2cTokenizer(damaged),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  const auto with_last = [&](float score, const std::string& text) {
    auto changed = tokens;
    changed.back() = {score, text};
    return TokenizerBytes(changed);
  };
  const auto with_last_length = [&](int32_t length) {
    std::string changed = bytes;
    std::string number;
    AppendRaw(length, number);
    return changed.replace(changed.size() - 5, 4, number);
  };

  expect_refusal("abc", "3 bytes are too few");
  expect_refusal(bytes.substr(0, bytes.size() - 3), "cut off in token 260: 6 bytes are left");
  expect_refusal(with_last_length(-1), "token 260: a length of -1");
  expect_refusal(with_last_length(2), "a length of 2, the longest is 64 and 1 bytes are left");
  expect_refusal(with_last_length(65), "a length of 65, the longest is 64");
  expect_refusal(with_last(0.0f, " "), "tokens 259 and 260 are both");
  expect_refusal(with_last(0.0f, "\xff"), "token 260: its text is not UTF-8");
  expect_refusal(with_last(NAN, "b"), "token 260: the score is no number");
  expect_refusal(TokenizerBytes(TokensWith({"a"})), "no token for a space");
  expect_refusal(TokenizerBytes({{0.0f, "<unk>"}}), "1 tokens, expected 259");
  auto changed = tokens;
  changed[5].second = "x";
  expect_refusal(TokenizerBytes(changed), "token 5: expected \"<0x02>\", got \"x\"");
}

}  // namespace
}  // namespace skerry
