#include "common/crypto/random_bits.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/random.h>

#include "common/base/bytes.h"

namespace skerry {
namespace {

class OperatingSystemRandom final : public RandomBits {
 public:
  void Fill(std::span<uint8_t> out) override {
    while (!out.empty()) {
      const ssize_t got = ::getrandom(out.data(), out.size(), 0);
      if (got < 0) {
        if (errno == EINTR) continue;
        std::fprintf(stderr, "the operating system gives no random bytes: %s\n",
                     std::strerror(errno));
        std::abort();
      }
      out = out.subspan(static_cast<size_t>(got));
    }
  }
};

}  // namespace

SecretBytes RandomBits::DrawSecret(size_t size) {
  SecretBytes secret(size);
  Fill(secret.mutable_bytes());
  return secret;
}

uint64_t RandomBits::NextU64() {
  uint8_t bytes[sizeof(uint64_t)];
  Fill(bytes);
  return LoadLittleEndian<uint64_t>(bytes);
}

RandomBits& SystemRandom() {
  static OperatingSystemRandom random;
  return random;
}

}  // namespace skerry
