// Z85 (ZeroMQ RFC 32): keys of ZeroMQ connections as text, five characters for four bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace skerry {

// `bytes` must have a multiple of 4 bytes.
std::string Z85Encode(std::span<const uint8_t> bytes);

// Fails with kInvalidArgument unless `text` is exactly the 5 * out.size() / 4 characters of some
// out.size() bytes. The message names lengths and positions, never the text: it may be a secret.
// `out` must have a multiple of 4 bytes and is undefined after a failure.
absl::Status Z85Decode(std::string_view text, std::span<uint8_t> out);

}  // namespace skerry
