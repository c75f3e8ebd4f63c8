// Regular expressions over Unicode text, and what else of ICU the tokenizer needs: the one door to
// that library.
//
// Expressions are read with ICU's grammar. It agrees with the ones in published tokenizer files
// (classes by property, look-ahead, possessive repeats, case-insensitive groups). A value, cheap to
// copy, may be used by several threads at once.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace skerry {

// A part [begin, end) of a text, in UTF-16 units.
struct TextRange {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const TextRange&) const = default;
};

class UnicodeRegex {
 public:
  // Fails with kInvalidArgument and the position of the mistake. `expression` is valid UTF-8.
  static absl::StatusOr<UnicodeRegex> Compile(std::string_view expression);
  // Matches `text` itself, which must not be empty.
  static absl::StatusOr<UnicodeRegex> CompileLiteral(std::string_view text);

  // Appends the matches in each of `parts`, one list for each, to `matches`. A part is a text of
  // its own: nothing looks beyond its ends. An empty match that touches the match before it does
  // not count. Fails with kResourceExhausted if the expression needs too much time or stack for a
  // text.
  absl::Status FindAll(std::u16string_view text, const std::vector<TextRange>& parts,
                       std::vector<std::vector<TextRange>>& matches) const;

 private:
  struct Compiled;
  explicit UnicodeRegex(std::shared_ptr<const Compiled> compiled)
      : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

// Normalization form C of valid UTF-8.
absl::StatusOr<std::string> NormalizeNfc(std::string_view text);

// White_Space, and \w of Unicode Technical Standard 18.
bool IsSpaceCharacter(char32_t character);
bool IsWordCharacter(char32_t character);

}  // namespace skerry
