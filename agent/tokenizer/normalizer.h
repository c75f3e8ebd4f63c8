// What a tokenizer does to a text before it is split: NFC, Prepend, Replace, or several in a row.
// Immutable after Parse.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/tokenizer/json_view.h"
#include "agent/tokenizer/unicode_regex.h"

namespace skerry {

class Normalizer {
 public:
  // "normalizer" of tokenizer.json; null is none.
  static absl::StatusOr<Normalizer> Parse(const JsonView& json);

  // `text` is valid UTF-8, and so is the result.
  absl::StatusOr<std::string> Apply(std::string_view text) const;
  bool is_identity() const { return steps_.empty(); }

 private:
  struct Nfc {};
  struct Prepend {
    std::string text;
  };
  struct Replace {
    UnicodeRegex pattern;
    std::string content;
  };
  using Step = std::variant<Nfc, Prepend, Replace>;

  absl::Status Add(const JsonView& json);
  static absl::StatusOr<std::string> Run(const Nfc& step, std::string text);
  static absl::StatusOr<std::string> Run(const Prepend& step, std::string text);
  static absl::StatusOr<std::string> Run(const Replace& step, std::string text);

  std::vector<Step> steps_;
};

// {"String": "x"} or {"Regex": "x"}.
absl::StatusOr<UnicodeRegex> ParsePattern(const JsonView& json);

}  // namespace skerry
