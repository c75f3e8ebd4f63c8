// Cuts a text into the pieces within which tokens are merged: Split, ByteLevel, Digits, Metaspace,
// or several in a row. Immutable after Parse.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/tokenizer/json_view.h"
#include "agent/tokenizer/unicode_regex.h"

namespace skerry {

// A text and its pieces, which are in order, not empty and cover whole characters.
struct TextPieces {
  std::u16string text;
  std::vector<TextRange> pieces;
  // Whether the first piece is also the beginning of what the user gave: a tokenizer may put a
  // space there and nowhere else.
  bool begins_input = false;
};

class PreTokenizer {
 public:
  // "pre_tokenizer" of tokenizer.json; null is none.
  static absl::StatusOr<PreTokenizer> Parse(const JsonView& json);

  // Cuts the pieces further. A step sees each piece as a text of its own.
  absl::Status Apply(TextPieces& text) const;

 private:
  enum class Behavior { kIsolated, kRemoved, kContiguous, kMergedWithPrevious, kMergedWithNext };
  struct Split {
    UnicodeRegex pattern;
    Behavior behavior;
    bool is_inverted;
  };
  // Puts `text` before a piece that does not begin with it.
  struct Prefix {
    std::u16string text;
    bool only_at_input_begin;
  };
  struct ReplaceSpaces {
    std::u16string content;
  };
  struct MapBytes {};
  using Step = std::variant<Split, Prefix, ReplaceSpaces, MapBytes>;
  struct Part {
    TextRange range;
    bool is_match;
  };

  absl::Status Add(const JsonView& json);
  absl::Status AddSplit(const JsonView& json);
  absl::Status AddByteLevel(const JsonView& json);
  absl::Status AddDigits(const JsonView& json);
  absl::Status AddMetaspace(const JsonView& json);

  static absl::StatusOr<Behavior> ParseBehavior(const JsonView& json);
  static void AppendParts(const std::vector<Part>& parts, Behavior behavior,
                          std::vector<TextRange>& pieces);
  static absl::Status Run(const Split& step, TextPieces& text);
  static absl::Status Run(const Prefix& step, TextPieces& text);
  static absl::Status Run(const ReplaceSpaces& step, TextPieces& text);
  static absl::Status Run(const MapBytes& step, TextPieces& text);

  std::vector<Step> steps_;
};

}  // namespace skerry
