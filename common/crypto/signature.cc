#include "common/crypto/signature.h"

#include <openssl/err.h>

#include "common/base/status.h"
#include "common/crypto/hex.h"
#include "common/crypto/openssl_check.h"

namespace skerry {
namespace {

EvpKeyPtr LoadSeed(const SecretBytes& seed) {
  EvpKeyPtr key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.bytes().data(), seed.size()));
  CheckOpenSsl(key != nullptr, "load an Ed25519 seed");
  return key;
}

EvpDigestContextPtr NewDigestContext() {
  EvpDigestContextPtr context(EVP_MD_CTX_new());
  CheckOpenSsl(context != nullptr, "allocate a signature");
  return context;
}

}  // namespace

absl::StatusOr<Ed25519PublicKey> Ed25519PublicKey::FromHex(std::string_view text) {
  std::array<uint8_t, kBytes> bytes;
  SKERRY_RETURN_IF_ERROR(ParseHex(text, bytes));
  return Ed25519PublicKey(bytes);
}

std::string Ed25519PublicKey::hex() const { return HexOf(bytes_); }

bool Ed25519PublicKey::Verify(std::span<const uint8_t> message,
                              std::span<const uint8_t> signature) const {
  if (signature.size() != Ed25519Signature().size()) return false;
  const EvpKeyPtr key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_.data(), bytes_.size()));
  CheckOpenSsl(key != nullptr, "load an Ed25519 public key");
  const EvpDigestContextPtr context = NewDigestContext();
  CheckOpenSsl(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1,
               "begin to verify a signature");
  const bool is_valid = EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                                         message.data(), message.size()) == 1;
  if (!is_valid) ERR_clear_error();  // a bad signature is an answer, not a fault of the library
  return is_valid;
}

Ed25519SecretKey Ed25519SecretKey::Generate(RandomBits& random) {
  return FromSeed(random.DrawSecret(kSeedBytes));
}

Ed25519SecretKey Ed25519SecretKey::FromSeed(SecretBytes seed) {
  SKERRY_ASSERT(seed.size() == kSeedBytes);
  const EvpKeyPtr key = LoadSeed(seed);
  std::array<uint8_t, Ed25519PublicKey::kBytes> bytes;
  size_t size = bytes.size();
  CheckOpenSsl(
      EVP_PKEY_get_raw_public_key(key.get(), bytes.data(), &size) == 1 && size == bytes.size(),
      "compute an Ed25519 public key");
  return {std::move(seed), Ed25519PublicKey(bytes)};
}

Ed25519Signature Ed25519SecretKey::Sign(std::span<const uint8_t> message) const {
  const EvpKeyPtr key = LoadSeed(seed_);
  const EvpDigestContextPtr context = NewDigestContext();
  Ed25519Signature signature;
  size_t size = signature.size();
  CheckOpenSsl(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
                   EVP_DigestSign(context.get(), signature.data(), &size, message.data(),
                                  message.size()) == 1 &&
                   size == signature.size(),
               "sign with Ed25519");
  return signature;
}

}  // namespace skerry
