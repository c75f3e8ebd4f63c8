#include "agent/tokenizer/utf8.h"

#include <cstdint>

#include "common/base/status.h"

namespace skerry {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

enum class Form { kWhole, kCutOff, kBroken };

struct Sequence {
  Form form = Form::kBroken;
  size_t bytes = 1;  // of the character, or of the part of one that is there
};

// Table 3-7 of the Unicode standard, "Well-Formed UTF-8 Byte Sequences".
Sequence ReadSequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {Form::kWhole, 1};
  if (lead < 0xc2 || lead > 0xf4) return {Form::kBroken, 1};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Form::kCutOff, i};
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    if (i == 1 && lead == 0xe0) low = 0xa0;
    if (i == 1 && lead == 0xed) high = 0x9f;
    if (i == 1 && lead == 0xf0) low = 0x90;
    if (i == 1 && lead == 0xf4) high = 0x8f;
    if (byte(i) < low || byte(i) > high) return {Form::kBroken, i};
  }
  return {Form::kWhole, length};
}

// Of a whole sequence of `bytes` bytes.
char32_t CharacterOf(std::string_view text, size_t bytes) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (bytes == 1) return lead;
  char32_t character = lead & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    character = (character << 6) | (static_cast<uint8_t>(text[i]) & 0x3fu);
  }
  return character;
}

bool IsLeadSurrogate(char16_t unit) { return (unit & 0xfc00) == 0xd800; }
bool IsTrailSurrogate(char16_t unit) { return (unit & 0xfc00) == 0xdc00; }

}  // namespace

std::optional<size_t> FirstInvalidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = ReadSequence(text.substr(at));
    if (sequence.form != Form::kWhole) return at;
    at += sequence.bytes;
  }
  return std::nullopt;
}

std::u16string Utf16Of(std::string_view text) {
  std::u16string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = ReadSequence(text.substr(at));
    SKERRY_ASSERT(sequence.form == Form::kWhole);
    const char32_t character = CharacterOf(text.substr(at), sequence.bytes);
    if (character < 0x10000) {
      result += static_cast<char16_t>(character);
    } else {
      result += static_cast<char16_t>(0xd7c0 + (character >> 10));
      result += static_cast<char16_t>(0xdc00 + (character & 0x3ff));
    }
    at += sequence.bytes;
  }
  return result;
}

std::string Utf8Of(std::u16string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) AppendUtf8(NextCharacter(text, at), result);
  return result;
}

char32_t NextCharacter(std::u16string_view text, size_t& position) {
  const char16_t unit = text[position++];
  if (IsLeadSurrogate(unit) && position < text.size() && IsTrailSurrogate(text[position])) {
    return ((char32_t{unit} - 0xd7c0) << 10) + (char32_t{text[position++]} - 0xdc00);
  }
  return IsLeadSurrogate(unit) || IsTrailSurrogate(unit) ? U'\ufffd' : char32_t{unit};
}

void AppendUtf8(char32_t character, std::string& text) {
  const auto add = [&](char32_t byte) { text += static_cast<char>(static_cast<uint8_t>(byte)); };
  if (character < 0x80) {
    add(character);
    return;
  }
  if (character < 0x800) {
    add(0xc0 | (character >> 6));
  } else {
    if (character < 0x10000) {
      add(0xe0 | (character >> 12));
    } else {
      add(0xf0 | (character >> 18));
      add(0x80 | ((character >> 12) & 0x3f));
    }
    add(0x80 | ((character >> 6) & 0x3f));
  }
  add(0x80 | (character & 0x3f));
}

std::string LossyUtf8::Push(std::string_view bytes) {
  pending_ += bytes;
  std::string text;
  size_t at = 0;
  while (at < pending_.size()) {
    const std::string_view rest = std::string_view(pending_).substr(at);
    const Sequence sequence = ReadSequence(rest);
    if (sequence.form == Form::kCutOff) break;
    text += sequence.form == Form::kWhole ? rest.substr(0, sequence.bytes) : kReplacement;
    at += sequence.bytes;
  }
  pending_.erase(0, at);
  return text;
}

std::string LossyUtf8::Finish() {
  const bool is_cut_off = !pending_.empty();
  pending_.clear();
  return is_cut_off ? std::string(kReplacement) : std::string();
}

}  // namespace skerry
