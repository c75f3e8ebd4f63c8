#include "common/secagg/secagg_crypto.h"

#include <utility>

#include "common/crypto/transcript.h"

namespace skerry {
namespace {

class StandardCrypto final : public SecAggCrypto {
 public:
  AgreementSecret Generate(RandomBits& random) const override {
    SecretBytes secret = random.DrawSecret(32);
    const AgreementPublicKey public_key = PublicKeyOf(secret);
    return {std::move(secret), public_key};
  }
  AgreementPublicKey PublicKeyOf(const SecretBytes& secret) const override {
    return AgreementKeyPair::FromSecret(SecretBytes::CopyOf(secret.bytes())).public_key();
  }
  AgreeFunction AgreementOf(const SecretBytes& secret) const override { return Agreement(secret); }
  bool Verify(const Ed25519PublicKey& key, std::span<const uint8_t> message,
              std::span<const uint8_t> signature) const override {
    return key.Verify(message, signature);
  }
};

}  // namespace

const SecAggCrypto& StandardSecAggCrypto() {
  static const StandardCrypto crypto;
  return crypto;
}

bool VerifyOnce::Verify(const Ed25519PublicKey& key, std::span<const uint8_t> message,
                        std::span<const uint8_t> signature) const {
  const Sha256Digest digest = Transcript("verified")
                                  .Append("key", key.bytes())
                                  .Append("message", message)
                                  .Append("signature", signature)
                                  .Digest();
  if (valid_.contains(digest)) return true;
  if (!crypto_.Verify(key, message, signature)) return false;
  valid_.insert(digest);
  return true;
}

}  // namespace skerry
