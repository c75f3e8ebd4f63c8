#include "agent/tokenizer/added_tokens.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/tokenizer/unicode_regex.h"
#include "agent/tokenizer/utf8.h"
#include "common/base/status.h"

namespace skerry {
namespace {

constexpr int64_t kIdMax = (1 << 26) - 1;

uint64_t EdgeKey(uint32_t node, char byte) {
  return (uint64_t{node} << 8) | static_cast<uint8_t>(byte);
}

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xc0) == 0x80; }

// The last character of `text`, which is not empty, as text.
std::string_view LastCharacter(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && IsContinuation(text[begin])) --begin;
  return text.substr(begin);
}

std::string_view FirstCharacter(std::string_view text) {
  size_t end = 1;
  while (end < text.size() && IsContinuation(text[end])) ++end;
  return text.substr(0, end);
}

char32_t CharacterOf(std::string_view character) {
  size_t position = 0;
  return NextCharacter(Utf16Of(character), position);
}

bool EndsWithWord(std::string_view text) {
  return !text.empty() && IsWordCharacter(CharacterOf(LastCharacter(text)));
}

bool BeginsWithWord(std::string_view text) {
  return !text.empty() && IsWordCharacter(CharacterOf(FirstCharacter(text)));
}

size_t SpacesAtEnd(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const std::string_view last = LastCharacter(text.substr(0, text.size() - bytes));
    if (!IsSpaceCharacter(CharacterOf(last))) break;
    bytes += last.size();
  }
  return bytes;
}

size_t SpacesAtBegin(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const std::string_view first = FirstCharacter(text.substr(bytes));
    if (!IsSpaceCharacter(CharacterOf(first))) break;
    bytes += first.size();
  }
  return bytes;
}

absl::StatusOr<AddedToken> ParseToken(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(
      json.Only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}));
  AddedToken token;
  SKERRY_ASSIGN_OR_RETURN(const int64_t id, json.At("id").Count(kIdMax));
  token.id = static_cast<int32_t>(id);
  SKERRY_ASSIGN_OR_RETURN(token.content, json.At("content").Text());
  if (token.content.empty()) return json.At("content").Error("must not be empty");
  SKERRY_ASSIGN_OR_RETURN(token.is_single_word, json.BoolOr("single_word", false));
  SKERRY_ASSIGN_OR_RETURN(token.takes_left_spaces, json.BoolOr("lstrip", false));
  SKERRY_ASSIGN_OR_RETURN(token.takes_right_spaces, json.BoolOr("rstrip", false));
  SKERRY_ASSIGN_OR_RETURN(token.is_special, json.BoolOr("special", false));
  SKERRY_ASSIGN_OR_RETURN(token.is_normalized, json.BoolOr("normalized", !token.is_special));
  return token;
}

}  // namespace

void AddedTokens::Trie::Add(std::string_view text, int32_t token) {
  if (token_at.empty()) token_at.push_back(-1);
  uint32_t node = 0;
  for (const char byte : text) {
    const auto [edge, is_new] =
        edges.emplace(EdgeKey(node, byte), static_cast<uint32_t>(token_at.size()));
    node = edge->second;
    if (is_new) token_at.push_back(-1);
  }
  if (token_at[node] < 0) token_at[node] = token;
}

absl::StatusOr<AddedTokens> AddedTokens::Parse(const JsonView& json, const BpeModel& model,
                                               const Normalizer& normalizer) {
  AddedTokens added;
  if (json.is_null()) return added;
  SKERRY_ASSIGN_OR_RETURN(const std::vector<JsonView> elements, json.Elements());
  for (const JsonView& element : elements) {
    SKERRY_ASSIGN_OR_RETURN(AddedToken token, ParseToken(element));
    const auto twice = [&](std::string_view what) {
      return element.Error(
          fmt::format("{} of id {}, \"{}\", is there twice", what, token.id, token.content));
    };
    const size_t index = added.tokens_.size();
    if (!added.index_of_content_.emplace(token.content, index).second) return twice("the content");
    if (!added.index_of_id_.emplace(token.id, index).second) return twice("the id");
    const std::string* const same_id = model.TokenOf(token.id);
    const std::optional<int32_t> same_content = model.IdOf(token.content);
    if ((same_id != nullptr && *same_id != token.content) ||
        (same_content.has_value() && *same_content != token.id)) {
      return element.Error(same_content.has_value()
                               ? fmt::format("\"{}\" has id {}, in model.vocab it is {}",
                                             token.content, token.id, *same_content)
                               : fmt::format("id {} is \"{}\", in model.vocab it is \"{}\"",
                                             token.id, token.content, *same_id));
    }
    const auto trie_index = static_cast<int32_t>(index);
    if (token.is_normalized) {
      SKERRY_ASSIGN_OR_RETURN(const std::string content, normalizer.Apply(token.content));
      if (!content.empty()) added.normalized_.Add(content, trie_index);
    } else {
      added.raw_.Add(token.content, trie_index);
    }
    added.id_end_ = std::max(added.id_end_, token.id + 1);
    added.tokens_.push_back(std::move(token));
  }
  return added;
}

std::optional<AddedTokens::Match> AddedTokens::MatchAt(std::string_view text,
                                                       const Trie& trie) const {
  std::optional<Match> longest;
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto edge = trie.edges.find(EdgeKey(node, text[i]));
    if (edge == trie.edges.end()) break;
    node = edge->second;
    const int32_t token = trie.token_at[node];
    if (token >= 0) longest = Match{&tokens_[static_cast<size_t>(token)], i + 1};
  }
  return longest;
}

std::vector<AddedTokens::Segment> AddedTokens::Split(std::string_view text, Stage stage) const {
  const Trie& trie = stage == Stage::kRaw ? raw_ : normalized_;
  std::vector<Segment> segments;
  size_t done = 0;  // what lies before it is in `segments`
  for (size_t at = 0; at < text.size() && !trie.edges.empty();) {
    const std::optional<Match> match = MatchAt(text.substr(at), trie);
    if (!match.has_value()) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + match->bytes;
    at = end;
    const AddedToken& token = *match->token;
    if (token.is_single_word &&
        (EndsWithWord(text.substr(0, begin)) || BeginsWithWord(text.substr(end)))) {
      continue;
    }
    if (token.takes_left_spaces) begin -= SpacesAtEnd(text.substr(0, begin));
    begin = std::max(begin, done);  // spaces that the token before has taken are its own
    if (token.takes_right_spaces) end += SpacesAtBegin(text.substr(end));
    if (done < begin) segments.push_back({std::nullopt, text.substr(done, begin - done)});
    segments.push_back({token.id, text.substr(begin, end - begin)});
    done = end;
  }
  if (done < text.size()) segments.push_back({std::nullopt, text.substr(done)});
  return segments;
}

const AddedToken* AddedTokens::Find(int32_t id) const {
  const auto found = index_of_id_.find(id);
  return found == index_of_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::Find(std::string_view content) const {
  const auto found = index_of_content_.find(absl::string_view(content.data(), content.size()));
  return found == index_of_content_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace skerry
