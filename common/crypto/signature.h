// Ed25519 signatures (RFC 8032): a node's identity.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/crypto/random_bits.h"
#include "common/crypto/secret_bytes.h"

namespace skerry {

using Ed25519Signature = std::array<uint8_t, 64>;

class Ed25519PublicKey {
 public:
  static constexpr size_t kBytes = 32;
  Ed25519PublicKey() = default;
  explicit Ed25519PublicKey(const std::array<uint8_t, kBytes>& bytes) : bytes_(bytes) {}
  // 64 hexadecimal digits. Whether the bytes are a point of the curve shows when they verify.
  static absl::StatusOr<Ed25519PublicKey> FromHex(std::string_view text);

  const std::array<uint8_t, kBytes>& bytes() const { return bytes_; }
  std::string hex() const;
  auto operator<=>(const Ed25519PublicKey&) const = default;

  // True if `signature` over `message` was made with this key. False also for a malformed key or
  // signature, so anything a peer sends may be passed.
  bool Verify(std::span<const uint8_t> message, std::span<const uint8_t> signature) const;

 private:
  std::array<uint8_t, kBytes> bytes_{};
};

// The 32-byte seed of RFC 8032 and the public key that belongs to it.
class Ed25519SecretKey {
 public:
  static constexpr size_t kSeedBytes = 32;
  static Ed25519SecretKey Generate(RandomBits& random);
  // `seed` must hold kSeedBytes.
  static Ed25519SecretKey FromSeed(SecretBytes seed);

  const Ed25519PublicKey& public_key() const { return public_key_; }
  const SecretBytes& seed() const { return seed_; }
  // Deterministic: the same key and message give the same signature.
  Ed25519Signature Sign(std::span<const uint8_t> message) const;

 private:
  Ed25519SecretKey(SecretBytes seed, const Ed25519PublicKey& public_key)
      : seed_(std::move(seed)), public_key_(public_key) {}
  SecretBytes seed_;
  Ed25519PublicKey public_key_;
};

}  // namespace skerry
