// Bytes as lower-case hexadecimal text and back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace skerry {

// Lower case, two digits a byte. Not for secrets: the text is an ordinary string.
std::string HexOf(std::span<const uint8_t> bytes);

// Fails with kInvalidArgument unless `text` is exactly 2 * out.size() hexadecimal digits (either
// case). The message names lengths and positions, never the digits: they may be a secret. `out` is
// undefined after a failure.
absl::Status ParseHex(std::string_view text, std::span<uint8_t> out);

}  // namespace skerry
