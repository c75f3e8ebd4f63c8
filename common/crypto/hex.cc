#include "common/crypto/hex.h"

#include <fmt/format.h>

namespace skerry {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string HexOf(std::span<const uint8_t> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

absl::Status ParseHex(std::string_view text, std::span<uint8_t> out) {
  if (text.size() != 2 * out.size()) {
    return absl::InvalidArgumentError(fmt::format(
        "expected {} hexadecimal digits, got {} characters", 2 * out.size(), text.size()));
  }
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = DigitValue(text[2 * i]);
    const int low = DigitValue(text[2 * i + 1]);
    if (high < 0 || low < 0) {
      return absl::InvalidArgumentError(
          fmt::format("expected {} hexadecimal digits, character {} is none", text.size(),
                      2 * i + (high < 0 ? 1 : 2)));
    }
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return absl::OkStatus();
}

}  // namespace skerry
