// How the files of this library treat a failing OpenSSL call. Private to common/crypto.
#pragma once

#include <memory>

#include <openssl/evp.h>

namespace skerry {

// Prints OpenSSL's error queue and aborts. These calls get inputs that were already checked, so a
// failure means that memory ran out or that the library lacks the algorithm; going on without the
// cryptography is not an option, and no peer's input leads here.
[[noreturn]] void OpenSslFailed(const char* operation);

inline void CheckOpenSsl(bool is_ok, const char* operation) {
  if (!is_ok) OpenSslFailed(operation);
}

struct EvpDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using EvpKeyPtr = std::unique_ptr<EVP_PKEY, EvpDeleter>;
using EvpDigestContextPtr = std::unique_ptr<EVP_MD_CTX, EvpDeleter>;
using EvpCipherContextPtr = std::unique_ptr<EVP_CIPHER_CTX, EvpDeleter>;
using EvpKeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, EvpDeleter>;

}  // namespace skerry
