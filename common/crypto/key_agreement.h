// X25519 key agreement (RFC 7748): two parties that know each other's public keys share a secret.
//
// The shared secret is a point, not a key: what is used must go through HKDF with the session and
// both parties in its info (hkdf.h). A pair serves one session and one purpose.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "common/crypto/random_bits.h"
#include "common/crypto/secret_bytes.h"

namespace skerry {

using AgreementPublicKey = std::array<uint8_t, 32>;

// Moved, never copied; the secret is wiped when the pair goes.
class AgreementKeyPair {
 public:
  static constexpr size_t kSecretBytes = 32;
  static AgreementKeyPair Generate(RandomBits& random);
  // `secret` must hold kSecretBytes; any value is a valid X25519 secret.
  static AgreementKeyPair FromSecret(SecretBytes secret);

  const AgreementPublicKey& public_key() const { return public_key_; }
  const SecretBytes& secret() const { return secret_; }

 private:
  AgreementKeyPair(SecretBytes secret, const AgreementPublicKey& public_key)
      : secret_(std::move(secret)), public_key_(public_key) {}
  SecretBytes secret_;
  AgreementPublicKey public_key_;
};

// The 32 bytes shared by the owner of `secret` and the owner of `peer`. Fails with kInvalidArgument
// if they are all zero (RFC 7748, section 6.1): `peer` is then a point of small order, and anybody
// could know the result. `secret` must hold AgreementKeyPair::kSecretBytes.
absl::StatusOr<SecretBytes> Agree(const SecretBytes& secret, const AgreementPublicKey& peer);

// The same for many peers of one secret, which is prepared once: that is half of the work. Copies
// share it. Any thread.
class Agreement {
 public:
  explicit Agreement(const SecretBytes& secret);
  absl::StatusOr<SecretBytes> operator()(const AgreementPublicKey& peer) const;

 private:
  std::shared_ptr<void> secret_;  // OpenSSL's
};

}  // namespace skerry
