// Test vectors are written in hexadecimal.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/crypto/hex.h"

namespace skerry {

// Aborts on anything but an even number of hexadecimal digits: the test is wrong.
inline std::vector<uint8_t> FromHex(std::string_view text) {
  std::vector<uint8_t> bytes(text.size() / 2);
  SKERRY_ASSERT(ParseHex(text, bytes).ok());
  return bytes;
}

}  // namespace skerry
