#include "agent/tokenizer/byte_level.h"

#include <array>

#include "agent/tokenizer/utf8.h"

namespace skerry {
namespace {

// The printable bytes of Latin-1 stand for themselves, the others for U+0100 and up, in order.
constexpr bool IsPrintable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr char16_t kFirstShifted = 0x100;
constexpr size_t kShiftedCount = 68;

struct Alphabet {
  std::array<char16_t, 256> character_of_byte = {};
  std::array<uint8_t, kShiftedCount> byte_of_shifted = {};
};

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet;
  size_t shifted_count = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (IsPrintable(byte)) {
      alphabet.character_of_byte[byte] = static_cast<char16_t>(byte);
    } else {
      alphabet.character_of_byte[byte] = static_cast<char16_t>(kFirstShifted + shifted_count);
      alphabet.byte_of_shifted[shifted_count++] = static_cast<uint8_t>(byte);
    }
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();
static_assert(kAlphabet.character_of_byte[' '] == u'Ġ');
static_assert(kAlphabet.character_of_byte[0xad] == kFirstShifted + kShiftedCount - 1);

}  // namespace

char16_t CharacterOfByte(uint8_t byte) { return kAlphabet.character_of_byte[byte]; }

std::optional<uint8_t> ByteOfCharacter(char32_t character) {
  if (character >= kFirstShifted && character < kFirstShifted + kShiftedCount) {
    return kAlphabet.byte_of_shifted[character - kFirstShifted];
  }
  if (character >= kFirstShifted || !IsPrintable(static_cast<unsigned>(character))) {
    return std::nullopt;
  }
  return static_cast<uint8_t>(character);
}

std::u16string ByteLevelOf(std::u16string_view text) {
  std::u16string result;
  result.reserve(text.size());
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    bytes.clear();
    AppendUtf8(NextCharacter(text, at), bytes);
    for (const char byte : bytes) result += CharacterOfByte(static_cast<uint8_t>(byte));
  }
  return result;
}

std::string BytesOfToken(std::string_view token) {
  const std::u16string characters = Utf16Of(token);
  std::string bytes;
  for (size_t at = 0; at < characters.size();) {
    const std::optional<uint8_t> byte = ByteOfCharacter(NextCharacter(characters, at));
    if (!byte.has_value()) return std::string(token);
    bytes += static_cast<char>(*byte);
  }
  return bytes;
}

}  // namespace skerry
