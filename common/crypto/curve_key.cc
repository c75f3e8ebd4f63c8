#include "common/crypto/curve_key.h"

#include <utility>

#include "common/base/status.h"
#include "common/crypto/x25519.h"

namespace skerry {

CurveKeyPair CurveKeyPair::Generate(RandomBits& random) {
  return FromSecret(random.DrawSecret(kSecretBytes));
}

CurveKeyPair CurveKeyPair::FromSecret(SecretBytes secret) {
  SKERRY_ASSERT(secret.size() == kSecretBytes);
  const CurvePublicKey public_key(X25519PublicKeyOf(secret.bytes()));
  return {std::move(secret), public_key};
}

}  // namespace skerry
