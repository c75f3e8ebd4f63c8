#include "common/crypto/x25519.h"

#include "common/base/status.h"

namespace skerry {

EvpKeyPtr LoadX25519Secret(std::span<const uint8_t> secret) {
  SKERRY_ASSERT(secret.size() == kX25519Bytes);
  EvpKeyPtr key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.size()));
  CheckOpenSsl(key != nullptr, "load an X25519 secret");
  return key;
}

std::array<uint8_t, kX25519Bytes> X25519PublicKeyOf(std::span<const uint8_t> secret) {
  const EvpKeyPtr key = LoadX25519Secret(secret);
  std::array<uint8_t, kX25519Bytes> bytes;
  size_t size = bytes.size();
  CheckOpenSsl(
      EVP_PKEY_get_raw_public_key(key.get(), bytes.data(), &size) == 1 && size == bytes.size(),
      "compute an X25519 public key");
  return bytes;
}

}  // namespace skerry
