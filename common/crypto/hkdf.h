// HKDF with SHA-256 (RFC 5869): a key for one purpose out of key material.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/crypto/secret_bytes.h"

namespace skerry {

struct HkdfInput {
  std::span<const uint8_t> key_material;
  std::span<const uint8_t> salt;  // may be empty
  std::span<const uint8_t> info;  // what the key is for; a Transcript's bytes
};

// `size` must be 1 to 255 * 32 bytes, the RFC's limit.
SecretBytes HkdfSha256(const HkdfInput& input, size_t size);

}  // namespace skerry
