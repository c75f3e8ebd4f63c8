#include "common/crypto/secret_bytes.h"

#include <algorithm>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <utility>

#include <openssl/crypto.h>

#include "common/base/status.h"

namespace skerry {

void KeepMemoryPrivate() {
  const rlimit none{0, 0};
  SKERRY_ASSERT(::setrlimit(RLIMIT_CORE, &none) == 0);
  SKERRY_ASSERT(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
}

void WipeBytes(std::span<uint8_t> bytes) {
  if (!bytes.empty()) OPENSSL_cleanse(bytes.data(), bytes.size());
}

SecretBytes::SecretBytes(size_t size) : data_(std::make_unique<uint8_t[]>(size)), size_(size) {}

SecretBytes SecretBytes::CopyOf(std::span<const uint8_t> bytes) {
  SecretBytes copy(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.data_.get());
  return copy;
}

SecretBytes::~SecretBytes() { WipeBytes(mutable_bytes()); }

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    WipeBytes(mutable_bytes());
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

bool operator==(const SecretBytes& a, const SecretBytes& b) {
  if (a.size_ != b.size_) return false;
  return a.size_ == 0 || CRYPTO_memcmp(a.data_.get(), b.data_.get(), a.size_) == 0;
}

}  // namespace skerry
