#include "common/identity/z85.h"

#include <array>
#include <cstddef>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

constexpr std::string_view kAlphabet =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
static_assert(kAlphabet.size() == 85);

constexpr std::array<int8_t, 256> MakeDigits() {
  std::array<int8_t, 256> digits{};
  digits.fill(-1);
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  }
  return digits;
}
constexpr std::array<int8_t, 256> kDigits = MakeDigits();

}  // namespace

std::string Z85Encode(std::span<const uint8_t> bytes) {
  SKERRY_ASSERT(bytes.size() % 4 == 0);
  std::string text(bytes.size() / 4 * 5, '\0');
  for (size_t group = 0; group < bytes.size() / 4; ++group) {
    uint32_t value = 0;  // the four bytes are big-endian
    for (size_t i = 0; i < 4; ++i) value = value << 8 | bytes[4 * group + i];
    for (size_t i = 5; i-- > 0; value /= 85) text[5 * group + i] = kAlphabet[value % 85];
  }
  return text;
}

absl::Status Z85Decode(std::string_view text, std::span<uint8_t> out) {
  SKERRY_ASSERT(out.size() % 4 == 0);
  const size_t expected = out.size() / 4 * 5;
  if (text.size() != expected) {
    return absl::InvalidArgumentError(
        fmt::format("expected {} characters of Z85, got {}", expected, text.size()));
  }
  for (size_t group = 0; group < out.size() / 4; ++group) {
    uint64_t value = 0;
    for (size_t i = 0; i < 5; ++i) {
      const int8_t digit = kDigits[static_cast<uint8_t>(text[5 * group + i])];
      if (digit < 0) {
        return absl::InvalidArgumentError(fmt::format(
            "expected {} characters of Z85, character {} is none", expected, 5 * group + i + 1));
      }
      value = value * 85 + static_cast<uint64_t>(digit);
    }
    if (value > UINT32_MAX) {
      return absl::InvalidArgumentError(fmt::format(
          "characters {} to {} are not the Z85 of any bytes", 5 * group + 1, 5 * group + 5));
    }
    for (size_t i = 0; i < 4; ++i) {
      out[4 * group + i] = static_cast<uint8_t>(value >> (24 - 8 * i));
    }
  }
  return absl::OkStatus();
}

}  // namespace skerry
