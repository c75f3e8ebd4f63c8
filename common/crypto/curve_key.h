// CURVE key pairs of ZeroMQ connections. CURVE (CurveZMQ, ZeroMQ RFC 26) uses plain X25519 keys
// (RFC 7748), so they are made here and need no libzmq.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "common/crypto/random_bits.h"
#include "common/crypto/secret_bytes.h"

namespace skerry {

class CurvePublicKey {
 public:
  static constexpr size_t kBytes = 32;
  CurvePublicKey() = default;
  explicit CurvePublicKey(const std::array<uint8_t, kBytes>& bytes) : bytes_(bytes) {}
  const std::array<uint8_t, kBytes>& bytes() const { return bytes_; }
  auto operator<=>(const CurvePublicKey&) const = default;

 private:
  std::array<uint8_t, kBytes> bytes_{};
};

class CurveKeyPair {
 public:
  static constexpr size_t kSecretBytes = 32;
  static CurveKeyPair Generate(RandomBits& random);
  // `secret` must hold kSecretBytes; any value is a valid X25519 secret.
  static CurveKeyPair FromSecret(SecretBytes secret);

  const CurvePublicKey& public_key() const { return public_key_; }
  const SecretBytes& secret() const { return secret_; }

 private:
  CurveKeyPair(SecretBytes secret, const CurvePublicKey& public_key)
      : secret_(std::move(secret)), public_key_(public_key) {}
  SecretBytes secret_;
  CurvePublicKey public_key_;
};

}  // namespace skerry
