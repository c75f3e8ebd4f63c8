// Key agreement and signatures that cost a hash each, for simulations of thousands of nodes. A
// public key is a hash of its secret, so that a wrong one is still noticed; what two secrets agree
// on is a hash of both public keys, so anybody could compute it: of no use outside tests.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "common/crypto/sha256.h"
#include "common/crypto/transcript.h"
#include "common/secagg/secagg_crypto.h"

namespace skerry {

class FakeSecAggCrypto final : public SecAggCrypto {
 public:
  AgreementSecret Generate(RandomBits& random) const override {
    SecretBytes secret = random.DrawSecret(32);
    const AgreementPublicKey public_key = PublicKeyOf(secret);
    return {std::move(secret), public_key};
  }
  AgreementPublicKey PublicKeyOf(const SecretBytes& secret) const override {
    return Transcript("fake public key").Append("secret", secret.bytes()).Digest();
  }
  AgreeFunction AgreementOf(const SecretBytes& secret) const override {
    return
        [own = PublicKeyOf(secret)](const AgreementPublicKey& peer) -> absl::StatusOr<SecretBytes> {
          const Sha256Digest agreed = Transcript("fake agreement")
                                          .Append("first", std::min(own, peer))
                                          .Append("second", std::max(own, peer))
                                          .Digest();
          return SecretBytes::CopyOf(agreed);
        };
  }
  bool Verify(const Ed25519PublicKey& key, std::span<const uint8_t> message,
              std::span<const uint8_t> signature) const override {
    const Ed25519Signature expected = Sign(key, message);
    return std::equal(signature.begin(), signature.end(), expected.begin(), expected.end());
  }

  static Ed25519PublicKey KeyOf(std::string_view node) {
    return Ed25519PublicKey(Transcript("fake identity").Append("node", node).Digest());
  }
  static Ed25519Signature Sign(const Ed25519PublicKey& key, std::span<const uint8_t> message) {
    const Sha256Digest digest =
        Transcript("fake signature").Append("key", key.bytes()).Append("message", message).Digest();
    Ed25519Signature signature{};
    std::copy(digest.begin(), digest.end(), signature.begin());
    return signature;
  }
};

}  // namespace skerry
