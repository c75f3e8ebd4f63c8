#include "common/crypto/curve_key.h"

#include <utility>

#include "common/base/status.h"
#include "common/crypto/openssl_check.h"

namespace skerry {

CurveKeyPair CurveKeyPair::Generate(RandomBits& random) {
  return FromSecret(random.DrawSecret(kSecretBytes));
}

CurveKeyPair CurveKeyPair::FromSecret(SecretBytes secret) {
  SKERRY_ASSERT(secret.size() == kSecretBytes);
  const EvpKeyPtr key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.bytes().data(), secret.size()));
  CheckOpenSsl(key != nullptr, "load an X25519 secret");
  std::array<uint8_t, CurvePublicKey::kBytes> bytes;
  size_t size = bytes.size();
  CheckOpenSsl(
      EVP_PKEY_get_raw_public_key(key.get(), bytes.data(), &size) == 1 && size == bytes.size(),
      "compute an X25519 public key");
  return {std::move(secret), CurvePublicKey(bytes)};
}

}  // namespace skerry
