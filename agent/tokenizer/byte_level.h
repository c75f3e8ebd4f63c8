// The alphabet of byte-level BPE: each of the 256 bytes is one printable character, so that any
// text is text over these (OpenAI's GPT-2 encoder, bytes_to_unicode).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skerry {

char16_t CharacterOfByte(uint8_t byte);

// Nothing if the character stands for no byte.
std::optional<uint8_t> ByteOfCharacter(char32_t character);

// The characters of the UTF-8 bytes of `text`.
std::u16string ByteLevelOf(std::u16string_view text);

// The bytes that `token` (UTF-8) stands for. A token with a character outside the alphabet, as most
// added tokens have, stands for itself.
std::string BytesOfToken(std::string_view token);

}  // namespace skerry
