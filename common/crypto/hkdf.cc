#include "common/crypto/hkdf.h"

#include <openssl/kdf.h>

#include "common/base/status.h"
#include "common/crypto/openssl_check.h"

namespace skerry {
namespace {

constexpr size_t kOutputBytesMax = 255 * 32;
// OpenSSL 3.0's HKDF takes lengths as int and holds at most so much `info`.
constexpr size_t kInputBytesMax = 32 * 1024;

int Length(std::span<const uint8_t> bytes) {
  SKERRY_ASSERT(bytes.size() <= kInputBytesMax);
  return static_cast<int>(bytes.size());
}

}  // namespace

SecretBytes HkdfSha256(const HkdfInput& input, size_t size) {
  SKERRY_ASSERT(size >= 1 && size <= kOutputBytesMax);
  // OpenSSL refuses an empty key given as a null pointer; the RFC allows the empty string.
  static constexpr uint8_t kEmpty[1] = {};
  const auto data = [](std::span<const uint8_t> bytes) {
    return bytes.empty() ? kEmpty : bytes.data();
  };
  const EvpKeyContextPtr context(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr));
  CheckOpenSsl(context != nullptr, "allocate HKDF");
  SecretBytes key(size);
  size_t written = size;
  CheckOpenSsl(
      EVP_PKEY_derive_init(context.get()) == 1 &&
          EVP_PKEY_CTX_set_hkdf_md(context.get(), EVP_sha256()) == 1 &&
          EVP_PKEY_CTX_set1_hkdf_key(context.get(), data(input.key_material),
                                     Length(input.key_material)) == 1 &&
          EVP_PKEY_CTX_set1_hkdf_salt(context.get(), data(input.salt), Length(input.salt)) == 1 &&
          EVP_PKEY_CTX_add1_hkdf_info(context.get(), data(input.info), Length(input.info)) == 1 &&
          EVP_PKEY_derive(context.get(), key.mutable_bytes().data(), &written) == 1 &&
          written == size,
      "derive a key by HKDF-SHA256");
  return key;
}

}  // namespace skerry
