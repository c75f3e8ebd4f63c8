#include "common/crypto/openssl_check.h"

#include <cstdio>
#include <cstdlib>

#include <openssl/err.h>

namespace skerry {

void OpenSslFailed(const char* operation) {
  std::fprintf(stderr, "OpenSSL cannot %s:\n", operation);
  ERR_print_errors_fp(stderr);
  std::abort();
}

}  // namespace skerry
