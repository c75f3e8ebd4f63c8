// X25519 (RFC 7748) on raw bytes. Private to common/crypto; the key types of this library are built
// on it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "common/crypto/openssl_check.h"

namespace skerry {

inline constexpr size_t kX25519Bytes = 32;

// `secret` must hold kX25519Bytes; any value is a valid secret, its bits are clamped on use.
EvpKeyPtr LoadX25519Secret(std::span<const uint8_t> secret);
std::array<uint8_t, kX25519Bytes> X25519PublicKeyOf(std::span<const uint8_t> secret);

}  // namespace skerry
