// Messages for one reader: AES-256 in Galois/Counter Mode (NIST SP 800-38D) with a 12-byte nonce
// and a 16-byte tag.
//
// A nonce is used once under a key. Two messages under one pair would give away the difference of
// their texts and then the means to forge tags, so a key is best derived for a single message.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/crypto/secret_bytes.h"

namespace skerry {

inline constexpr size_t kSealKeyBytes = 32;
inline constexpr size_t kSealNonceBytes = 12;
inline constexpr size_t kSealTagBytes = 16;

// What sealing and opening must agree on. `key` and `nonce` must have exactly the sizes above;
// `associated` is bound to the message without being part of it (who sent it, in which session).
struct SealInput {
  std::span<const uint8_t> key;
  std::span<const uint8_t> nonce;
  std::span<const uint8_t> associated;
};

// The encrypted text, as long as `plain`, then the tag. `plain` must be below 2^31 bytes.
std::vector<uint8_t> Seal(const SealInput& input, std::span<const uint8_t> plain);

// The text of a sealed message. Fails with kUnauthenticated, and gives out nothing, if `sealed` is
// shorter than a tag or was not made by Seal under the same input.
absl::StatusOr<SecretBytes> OpenSealed(const SealInput& input, std::span<const uint8_t> sealed);

}  // namespace skerry
