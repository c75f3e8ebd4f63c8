// Tokens that are cut out of a text as they stand, before anything else: "added_tokens" of
// tokenizer.json. Immutable after Parse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "agent/tokenizer/bpe.h"
#include "agent/tokenizer/json_view.h"
#include "agent/tokenizer/normalizer.h"

namespace skerry {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool is_special = false;     // left out by decoding with skip_special
  bool is_normalized = false;  // looked for in the normalized text, not in the raw one
  bool takes_left_spaces = false;
  bool takes_right_spaces = false;
  bool is_single_word = false;  // not where it touches a letter or digit
};

class AddedTokens {
 public:
  enum class Stage { kRaw, kNormalized };
  // A part of a text: a token, or text that holds none.
  struct Segment {
    std::optional<int32_t> id;
    std::string_view text;
  };

  // Fails if a content or id is there twice, or the model gives one of them another meaning.
  static absl::StatusOr<AddedTokens> Parse(const JsonView& json, const BpeModel& model,
                                           const Normalizer& normalizer);

  // Cuts `text`, valid UTF-8, at the tokens of a stage: from the left, the longest at each place.
  std::vector<Segment> Split(std::string_view text, Stage stage) const;

  // Null if there is no such token.
  const AddedToken* Find(int32_t id) const;
  const AddedToken* Find(std::string_view content) const;
  int32_t id_end() const { return id_end_; }

 private:
  // A tree of the contents' bytes.
  struct Trie {
    std::vector<int32_t> token_at;  // of each node, an index of tokens_ or -1
    absl::flat_hash_map<uint64_t, uint32_t> edges;
    void Add(std::string_view text, int32_t token);
  };
  struct Match {
    const AddedToken* token;
    size_t bytes;
  };

  std::optional<Match> MatchAt(std::string_view text, const Trie& trie) const;

  std::vector<AddedToken> tokens_;
  absl::flat_hash_map<int32_t, size_t> index_of_id_;
  absl::flat_hash_map<std::string, size_t> index_of_content_;
  Trie raw_;
  Trie normalized_;
  int32_t id_end_ = 0;
};

}  // namespace skerry
