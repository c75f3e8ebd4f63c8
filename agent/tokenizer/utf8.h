// UTF-8 and UTF-16 as the tokenizer needs them: checked on entry, converted for ICU, and read with
// replacement where tokens end in the middle of a character.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace skerry {

// Offset of the first byte that begins no whole UTF-8 character (an overlong form, a surrogate,
// above U+10FFFF, cut off); nothing if all of `text` is valid.
std::optional<size_t> FirstInvalidUtf8(std::string_view text);

// `text` must be valid.
std::u16string Utf16Of(std::string_view text);
// Unpaired surrogates, which text from Utf16Of never holds, become U+FFFD.
std::string Utf8Of(std::u16string_view text);

// The character at `position`, which is moved behind it. `text` must be whole characters.
char32_t NextCharacter(std::u16string_view text, size_t& position);

void AppendUtf8(char32_t character, std::string& text);

// Bytes that come in pieces, read as UTF-8. What is broken becomes U+FFFD, one for each maximal
// part of a character (Unicode 15, section 3.9), so the text does not depend on how the bytes were
// cut.
class LossyUtf8 {
 public:
  // The text that `bytes` completes. Keeps back at most three bytes.
  std::string Push(std::string_view bytes);
  // U+FFFD if the bytes ended inside a character.
  std::string Finish();

 private:
  std::string pending_;
};

}  // namespace skerry
