// The public-key operations of secure aggregation as its machines need them, so that thousands of
// sessions can be simulated without paying for curves. Symmetric cryptography (HKDF, AES, SHA-256)
// is cheap and never replaced.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>

#include "absl/status/statusor.h"
#include "common/crypto/key_agreement.h"
#include "common/crypto/random_bits.h"
#include "common/crypto/secret_bytes.h"
#include "common/crypto/sha256.h"
#include "common/crypto/signature.h"

namespace skerry {

struct AgreementSecret {
  SecretBytes secret;  // 32 bytes
  AgreementPublicKey public_key{};
};

// Stateless; any thread.
class SecAggCrypto {
 public:
  virtual ~SecAggCrypto() = default;

  virtual AgreementSecret Generate(RandomBits& random) const = 0;
  // The public key that belongs to a 32-byte secret.
  virtual AgreementPublicKey PublicKeyOf(const SecretBytes& secret) const = 0;
  // For one secret and any peer: 32 bytes that only the owners of the two secrets can compute.
  // Fails for a public key that would make them predictable.
  using AgreeFunction = std::function<absl::StatusOr<SecretBytes>(const AgreementPublicKey&)>;
  virtual AgreeFunction AgreementOf(const SecretBytes& secret) const = 0;
  virtual bool Verify(const Ed25519PublicKey& key, std::span<const uint8_t> message,
                      std::span<const uint8_t> signature) const = 0;
};

// X25519 and Ed25519.
const SecAggCrypto& StandardSecAggCrypto();

// Checks each signature once: nodes that share a process are shown the same ones. For the session
// of one attempt; one thread.
class VerifyOnce final : public SecAggCrypto {
 public:
  // `crypto` outlives this.
  explicit VerifyOnce(const SecAggCrypto& crypto) : crypto_(crypto) {}

  AgreementSecret Generate(RandomBits& random) const override { return crypto_.Generate(random); }
  AgreementPublicKey PublicKeyOf(const SecretBytes& secret) const override {
    return crypto_.PublicKeyOf(secret);
  }
  AgreeFunction AgreementOf(const SecretBytes& secret) const override {
    return crypto_.AgreementOf(secret);
  }
  bool Verify(const Ed25519PublicKey& key, std::span<const uint8_t> message,
              std::span<const uint8_t> signature) const override;

 private:
  const SecAggCrypto& crypto_;
  mutable std::set<Sha256Digest> valid_;  // of key, message and signature
};

// By one node's identity key.
using SignFunction = std::function<Ed25519Signature(std::span<const uint8_t>)>;

}  // namespace skerry
