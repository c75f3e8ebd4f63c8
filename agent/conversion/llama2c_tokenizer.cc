#include "agent/conversion/llama2c_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_map.h"
#include "agent/tokenizer/utf8.h"
#include "common/base/bytes.h"
#include "common/base/status.h"

namespace skerry {
namespace {

using Json = nlohmann::json;

constexpr size_t kByteTokenFirst = 3;
constexpr size_t kTokensMin = kByteTokenFirst + 256;
constexpr size_t kTokensMax = 1 << 24;
constexpr size_t kEntryBytes = sizeof(float) + sizeof(int32_t);
constexpr std::string_view kSpace = "▁";

struct MergeOfToken {
  float score = 0.0f;
  size_t id = 0;
  size_t split = 0;
};

std::string WithMarkedSpaces(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == ' ') {
      result += kSpace;
    } else {
      result += c;
    }
  }
  return result;
}

// Whether `text` goes on with itself from `period` on.
bool HasPeriod(std::string_view text, size_t period) {
  return text.substr(period) == text.substr(0, text.size() - period);
}

// Whether (left, right) of the split at `a` can be followed by the pair of the split at `b` with
// one token in common. llama2.c joins the one on the left then, so that must come first.
bool MustPrecede(std::string_view text, size_t a, size_t b) {
  return a + b == text.size() && a != b && HasPeriod(text, a) && !HasPeriod(text, b);
}

absl::Status CheckToken(const std::vector<Llama2cToken>& tokens, size_t id) {
  const Llama2cToken& token = tokens[id];
  if (!std::isfinite(token.score)) {
    return absl::InvalidArgumentError(fmt::format("token {}: the score is no number", id));
  }
  if (FirstInvalidUtf8(token.text).has_value()) {
    return absl::InvalidArgumentError(fmt::format("token {}: its text is not UTF-8", id));
  }
  if (id >= kByteTokenFirst && id < kTokensMin) {
    const std::string expected = fmt::format("<0x{:02X}>", id - kByteTokenFirst);
    if (token.text != expected) {
      return absl::InvalidArgumentError(
          fmt::format("token {}: expected \"{}\", got \"{}\"", id, expected, token.text));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Llama2cToken>> ParseLlama2cTokenizer(std::string_view bytes) {
  if (bytes.size() < sizeof(uint32_t)) {
    return absl::InvalidArgumentError(
        fmt::format("{} bytes are too few for a llama2.c tokenizer", bytes.size()));
  }
  const auto length_max = LoadLittleEndian<uint32_t>(bytes.data());
  std::vector<Llama2cToken> tokens;
  for (size_t at = sizeof(uint32_t); at < bytes.size();) {
    const size_t left = bytes.size() - at;
    if (left < kEntryBytes) {
      return absl::InvalidArgumentError(
          fmt::format("cut off in token {}: {} bytes are left", tokens.size(), left));
    }
    Llama2cToken token;
    token.score = LoadLittleEndian<float>(bytes.data() + at);
    const auto length = LoadLittleEndian<int32_t>(bytes.data() + at + sizeof(float));
    if (length < 0 || static_cast<uint32_t>(length) > length_max ||
        static_cast<size_t>(length) > left - kEntryBytes) {
      return absl::InvalidArgumentError(
          fmt::format("token {}: a length of {}, the longest is {} and {} bytes are left",
                      tokens.size(), length, length_max, left - kEntryBytes));
    }
    token.text = bytes.substr(at + kEntryBytes, static_cast<size_t>(length));
    at += kEntryBytes + token.text.size();
    tokens.push_back(std::move(token));
  }
  if (tokens.size() < kTokensMin || tokens.size() > kTokensMax) {
    return absl::InvalidArgumentError(
        fmt::format("{} tokens, expected {} (3 special ones and all bytes) or more", tokens.size(),
                    kTokensMin));
  }
  absl::flat_hash_map<std::string, size_t> id_of;
  for (size_t id = 0; id < tokens.size(); ++id) {
    SKERRY_RETURN_IF_ERROR(CheckToken(tokens, id));
    if (id < kByteTokenFirst) continue;  // their texts stand in no vocabulary
    const auto [other, is_new] = id_of.emplace(WithMarkedSpaces(tokens[id].text), id);
    if (!is_new) {
      return absl::InvalidArgumentError(
          fmt::format("tokens {} and {} are both \"{}\"", other->second, id, tokens[id].text));
    }
  }
  if (!id_of.contains(std::string(kSpace))) {
    return absl::InvalidArgumentError("there is no token for a space, which begins every text");
  }
  return tokens;
}

std::string TokenizerJsonOf(const std::vector<Llama2cToken>& tokens) {
  std::vector<std::string> texts = {"<unk>", "<s>", "</s>"};
  for (size_t id = texts.size(); id < tokens.size(); ++id) {
    texts.push_back(WithMarkedSpaces(tokens[id].text));
  }
  absl::flat_hash_map<std::string, size_t> id_of;
  Json vocabulary = Json::object();
  for (size_t id = 0; id < texts.size(); ++id) {
    id_of.emplace(texts[id], id);
    vocabulary[texts[id]] = id;
  }

  std::vector<MergeOfToken> merges;
  for (size_t id = kByteTokenFirst; id < texts.size(); ++id) {
    const std::string& text = texts[id];
    const size_t first = merges.size();
    for (size_t split = text.size() - 1; text.size() > 1 && split > 0; --split) {
      const auto left = id_of.find(text.substr(0, split));
      const auto right = id_of.find(text.substr(split));
      if (left == id_of.end() || right == id_of.end()) continue;
      // Special tokens are no text, whatever they are called.
      if (left->second < kByteTokenFirst || right->second < kByteTokenFirst) continue;
      const auto at = std::find_if(
          merges.begin() + static_cast<ptrdiff_t>(first), merges.end(),
          [&](const MergeOfToken& other) { return MustPrecede(text, split, other.split); });
      merges.insert(at, {tokens[id].score, id, split});
    }
  }
  std::stable_sort(merges.begin(), merges.end(), [](const MergeOfToken& a, const MergeOfToken& b) {
    return a.score != b.score ? a.score > b.score : a.id < b.id;
  });
  Json merge_list = Json::array();
  for (const MergeOfToken& merge : merges) {
    const std::string& text = texts[merge.id];
    merge_list.push_back(text.substr(0, merge.split) + " " + text.substr(merge.split));
  }

  Json added = Json::array();
  for (size_t id = 0; id < kByteTokenFirst; ++id) {
    added.push_back({{"id", id},
                     {"content", texts[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const Json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const Json text_place = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json marked = {{"String", kSpace}};
  Json json;
  json["version"] = "1.0";
  json["truncation"] = nullptr;
  json["padding"] = nullptr;
  json["added_tokens"] = std::move(added);
  json["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Prepend"}, {"prepend", kSpace}},
        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}}}}};
  json["pre_tokenizer"] = nullptr;
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({bos, text_place})},
      {"pair", Json::array({bos, text_place, bos, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}})},
      {"special_tokens",
       {{"<s>", {{"id", "<s>"}, {"ids", Json::array({1})}, {"tokens", Json::array({"<s>"})}}}}}};
  json["decoder"] = {
      {"type", "Sequence"},
      {"decoders",
       Json::array({{{"type", "Replace"}, {"pattern", marked}, {"content", " "}},
                    Json{{"type", "ByteFallback"}},
                    Json{{"type", "Fuse"}},
                    {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}})}};
  json["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", "<unk>"},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", true},
                   {"byte_fallback", true},
                   {"vocab", std::move(vocabulary)},
                   {"merges", std::move(merge_list)}};
  return json.dump(1) + "\n";
}

std::string TokenizerConfigJson() {
  const Json json = {{"add_bos_token", true}, {"add_eos_token", false},
                     {"bos_token", "<s>"},    {"eos_token", "</s>"},
                     {"unk_token", "<unk>"},  {"clean_up_tokenization_spaces", false},
                     {"legacy", true},        {"tokenizer_class", "LlamaTokenizer"}};
  return json.dump(1) + "\n";
}

}  // namespace skerry
