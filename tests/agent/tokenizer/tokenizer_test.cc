#include "agent/tokenizer/tokenizer.h"

#include <algorithm>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "agent/tokenizer/utf8.h"
#include "common/base/rng.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using Ids = std::vector<int32_t>;
using nlohmann::json;
using testing::HasSubstr;

// Tokens a, b, ab, <s>.
json SmallFile() {
  return json::parse(R"({
    "added_tokens": [{"id": 3, "content": "<s>", "special": true}],
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
  })");
}

absl::StatusOr<Tokenizer> Parse(const json& file, const std::string& config = "") {
  return Tokenizer::Parse(file.dump(), config, "m/tokenizer.json");
}

void ExpectRefusal(const json& file, const std::string& message) {
  EXPECT_THAT(Parse(file), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
}

TEST(TokenizerTest, WhatTheFileAsksForAndIsNotKnownIsRefusedByName) {
  const auto with = [](const std::string& pointer, const json& value) {
    json file = SmallFile();
    file[json::json_pointer(pointer)] = value;
    return file;
  };

  ExpectRefusal(with("/normalizer", {{"type", "Lowercase"}}),
                "m/tokenizer.json: normalizer.type: \"Lowercase\" is not supported");
  ExpectRefusal(with("/pre_tokenizer", {{"type", "BertPreTokenizer"}}),
                "pre_tokenizer.type: \"BertPreTokenizer\"");
  ExpectRefusal(with("/decoder", {{"type", "WordPiece"}}), "decoder.type: \"WordPiece\"");
  ExpectRefusal(with("/post_processor", {{"type", "BertProcessing"}}), "\"BertProcessing\"");
  ExpectRefusal(with("/model/type", "Unigram"), "model.type: \"Unigram\" is not supported");
  ExpectRefusal(with("/model/dropout", 0.1), "model.dropout: must be null");
  ExpectRefusal(with("/model/end_of_word_suffix", "</w>"), "model.end_of_word_suffix");
  ExpectRefusal(with("/truncation", {{"max_length", 5}}), "truncation: is not supported");
  ExpectRefusal(with("/future", 1), "\"future\" is not supported");
  ExpectRefusal(with("/model/future", 1), "model: \"future\" is not supported");
  ExpectRefusal(with("/version", "2.0"), "version: expected \"1.0\"");
}

TEST(TokenizerTest, BrokenFilesAreRefusedWithTheFieldAndWhatIsWrong) {
  const auto with = [](const std::string& pointer, const json& value) {
    json file = SmallFile();
    file[json::json_pointer(pointer)] = value;
    return file;
  };
  const auto split = [](const std::string& expression) {
    return json{{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}};
  };

  EXPECT_THAT(Tokenizer::Parse("{\"model\":", "", "x.json"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("x.json: not JSON")));
  ExpectRefusal(json::array(), "expected an object, got an array");
  ExpectRefusal(json::object(), "model: expected an object");
  ExpectRefusal(with("/model/vocab/b", -1), "model.vocab.b: expected a whole number");
  ExpectRefusal(with("/model/vocab/b", 1e9), "model.vocab.b: expected a whole number");
  ExpectRefusal(with("/model/vocab/b", 0), "model.vocab: id 0 is both \"a\" and \"b\"");
  ExpectRefusal(with("/model/merges", {"a c"}), "merge 0: \"c\" is not in the vocabulary");
  ExpectRefusal(with("/model/merges", {"a b", "b a"}), "merge 1: \"ba\" is not in the vocabulary");
  ExpectRefusal(with("/model/merges", {"ab"}), "merge 0: expected two tokens");
  ExpectRefusal(with("/model/merges", {1}), "merge 0: expected");
  ExpectRefusal(with("/model/byte_fallback", true), "the vocabulary lacks \"<0x00>\"");
  ExpectRefusal(with("/model/unk_token", "?"), "model.unk_token: \"?\" is not in the vocabulary");
  ExpectRefusal(with("/added_tokens/0/id", 2), "id 2 is \"<s>\", in model.vocab it is \"ab\"");
  ExpectRefusal(with("/added_tokens/0/content", "a"), "\"a\" has id 3, in model.vocab it is 0");
  ExpectRefusal(with("/added_tokens/0/content", ""), "content: must not be empty");
  ExpectRefusal(with("/pre_tokenizer", split("(a")), "pre_tokenizer.pattern: not a regular");
  ExpectRefusal(with("/pre_tokenizer/type", 5), "pre_tokenizer.type: expected a string");
}

TEST(TokenizerTest, TheConfigurationsTokensWinOverTheTemplate) {
  const std::string with_bos = R"({"bos_token": {"content": "<s>"}, "add_bos_token": true})";

  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, Parse(SmallFile(), with_bos));
  EXPECT_EQ(tokenizer.bos_id(), 3);
  EXPECT_EQ(tokenizer.eos_id(), std::nullopt);
  ASSERT_OK_AND_ASSIGN(const Ids prompt, tokenizer.Encode("ab", {.add_special = true}));
  EXPECT_EQ(prompt, (Ids{3, 2}));

  EXPECT_THAT(Parse(SmallFile(), R"({"add_eos_token": true})"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("m/tokenizer_config.json: add_eos_token: is true, but")));
  EXPECT_THAT(Parse(SmallFile(), R"({"bos_token": "<x>"})"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("m/tokenizer_config.json: bos_token: \"<x>\" is no token")));
}

TEST(TokenizerTest, TextThatIsNotUtf8IsRefusedWithTheOffset) {
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, Parse(SmallFile()));

  for (const char* const text : {"ab\xff", "ab\xc3", "ab\xed\xa0\x80", "ab\xc0\x80"}) {
    EXPECT_THAT(tokenizer.Encode(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8 at byte 2")));
  }
  EXPECT_THAT(tokenizer.Encode("abc"), StatusIs(absl::StatusCode::kInvalidArgument,
                                                HasSubstr("character U+0063 has no token")));
}

TEST(TokenizerTest, IdsWithoutATokenAreRefusedOrSkipped) {
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, Parse(SmallFile()));

  for (const int32_t id : {4, -1, std::numeric_limits<int32_t>::max()}) {
    EXPECT_THAT(tokenizer.Decode(Ids{0, id}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(fmt::format("id {} (number 2 of the list)", id))));
    ASSERT_OK_AND_ASSIGN(const std::string text,
                         tokenizer.Decode(Ids{0, id, 1}, {.unknown_id = UnknownId::kSkip}));
    EXPECT_EQ(text, "a b");  // a file without a decoder puts spaces between tokens
  }
}

// Looks at every neighbour for every merge, as the definition of BPE says.
Ids PlainMerge(Ids ids,
               const std::map<std::pair<int32_t, int32_t>, std::pair<int, int32_t>>& merges) {
  while (true) {
    size_t best = ids.size();
    int best_rank = std::numeric_limits<int>::max();
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = merges.find({ids[i], ids[i + 1]});
      if (found == merges.end() || found->second.first >= best_rank) continue;
      best_rank = found->second.first;
      best = i;
    }
    if (best == ids.size()) return ids;
    ids[best] = merges.at({ids[best], ids[best + 1]}).second;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TEST(TokenizerTest, MergesAreThoseOfAPlainSearchForTheLowestRank) {
  Rng rng(11);
  for (int round = 0; round < 30; ++round) {
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::map<std::pair<int32_t, int32_t>, std::pair<int, int32_t>> plain;
    json vocab = {{"a", 0}, {"b", 1}, {"c", 2}};
    json merges = json::array();
    while (merges.size() < 25) {
      const auto left = static_cast<int32_t>(rng.Below(tokens.size()));
      const auto right = static_cast<int32_t>(rng.Below(tokens.size()));
      if (plain.contains({left, right})) continue;
      const std::string& left_text = tokens[static_cast<size_t>(left)];
      const std::string& right_text = tokens[static_cast<size_t>(right)];
      const std::string joined = left_text + right_text;
      if (joined.size() > 6) continue;
      const auto rank = static_cast<int>(merges.size());
      merges.push_back({left_text, right_text});
      if (!vocab.contains(joined)) {
        vocab[joined] = tokens.size();
        tokens.push_back(joined);
      }
      plain[{left, right}] = {rank, vocab[joined].get<int32_t>()};
    }
    ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer,
                         Parse({{"model", {{"vocab", vocab}, {"merges", merges}}}}));
    for (int i = 0; i < 50; ++i) {
      std::string text;
      Ids ids;
      const uint64_t length = 1 + rng.Below(60);
      for (uint64_t k = 0; k < length; ++k) {
        ids.push_back(static_cast<int32_t>(rng.Below(3)));
        text += tokens[static_cast<size_t>(ids.back())];
      }
      ASSERT_OK_AND_ASSIGN(const Ids encoded, tokenizer.Encode(text));
      EXPECT_EQ(encoded, PlainMerge(ids, plain)) << text << "\n" << merges.dump();
    }
  }
}

// Quadratic time would take minutes here.
TEST(TokenizerTest, AMegabyteOfOneLetterIsMergedPairwise) {
  const json file = {
      {"model", {{"vocab", {{"a", 0}, {"aa", 1}, {"aaaa", 2}}}, {"merges", {"a a", "aa aa"}}}}};
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, Parse(file));

  ASSERT_OK_AND_ASSIGN(const Ids ids, tokenizer.Encode(std::string(1'000'003, 'a')));

  ASSERT_EQ(ids.size(), 250'002u);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 250'000);
  EXPECT_EQ(ids[250'000], 1);
  EXPECT_EQ(ids[250'001], 0);
}

TEST(LossyUtf8Test, BrokenPartsGiveOneReplacementEachHoweverTheBytesAreCut) {
  const std::string r = "\xef\xbf\xbd";
  // The examples of the Unicode standard, section 3.9, tables 3-8 to 3-11.
  const std::vector<std::pair<std::string, std::string>> examples = {
      {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", r + r + r + r + r + "A" + r + r + "B"},
      {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", r + r + r + r + "A"},
      {"\xe1\x80", r}};
  for (const auto& [bytes, expected] : examples) {
    LossyUtf8 whole;
    std::string at_once = whole.Push(bytes);
    at_once += whole.Finish();
    EXPECT_EQ(at_once, expected);
    LossyUtf8 by_byte;
    std::string text;
    for (const char byte : bytes) text += by_byte.Push(std::string(1, byte));
    text += by_byte.Finish();
    EXPECT_EQ(text, expected);
  }
}

}  // namespace
}  // namespace skerry
