#include "common/crypto/key_agreement.h"

#include <tuple>

#include <openssl/err.h>

#include "common/base/status.h"
#include "common/crypto/x25519.h"

namespace skerry {

static_assert(std::tuple_size_v<AgreementPublicKey> == kX25519Bytes);
static_assert(AgreementKeyPair::kSecretBytes == kX25519Bytes);

AgreementKeyPair AgreementKeyPair::Generate(RandomBits& random) {
  return FromSecret(random.DrawSecret(kSecretBytes));
}

AgreementKeyPair AgreementKeyPair::FromSecret(SecretBytes secret) {
  const AgreementPublicKey public_key = X25519PublicKeyOf(secret.bytes());
  return {std::move(secret), public_key};
}

absl::StatusOr<SecretBytes> Agree(const SecretBytes& secret, const AgreementPublicKey& peer) {
  return Agreement(secret)(peer);
}

Agreement::Agreement(const SecretBytes& secret)
    : secret_(LoadX25519Secret(secret.bytes()).release(),
              [](void* key) { EVP_PKEY_free(static_cast<EVP_PKEY*>(key)); }) {}

absl::StatusOr<SecretBytes> Agreement::operator()(const AgreementPublicKey& peer) const {
  const EvpKeyPtr other(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer.data(), peer.size()));
  CheckOpenSsl(other != nullptr, "load an X25519 public key");
  const EvpKeyContextPtr context(EVP_PKEY_CTX_new(static_cast<EVP_PKEY*>(secret_.get()), nullptr));
  CheckOpenSsl(context != nullptr && EVP_PKEY_derive_init(context.get()) == 1 &&
                   EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1,
               "begin an X25519 agreement");

  // OpenSSL 3.0 itself reports an all-zero result as a failure, and as nothing else would make the
  // derivation fail, a failure is read so. The comparison keeps the promise for versions that do
  // not.
  SecretBytes shared(kX25519Bytes);
  size_t size = shared.size();
  const bool is_derived =
      EVP_PKEY_derive(context.get(), shared.mutable_bytes().data(), &size) == 1 &&
      size == kX25519Bytes;
  if (!is_derived || shared == SecretBytes(kX25519Bytes)) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        "the X25519 public key is a point of small order, expected one made from a secret");
  }
  return shared;
}

}  // namespace skerry
