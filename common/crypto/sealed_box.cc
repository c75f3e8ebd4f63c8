#include "common/crypto/sealed_box.h"

#include <limits>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/crypto/openssl_check.h"

namespace skerry {
namespace {

// OpenSSL counts bytes as int.
constexpr size_t kSpanBytesMax = std::numeric_limits<int>::max();

enum class Direction : int { kOpen = 0, kSeal = 1 };

EvpCipherContextPtr Begin(const SealInput& input, Direction direction) {
  SKERRY_ASSERT(input.key.size() == kSealKeyBytes);
  SKERRY_ASSERT(input.nonce.size() == kSealNonceBytes);  // OpenSSL's default for this mode
  SKERRY_ASSERT(input.associated.size() <= kSpanBytesMax);
  EvpCipherContextPtr context(EVP_CIPHER_CTX_new());
  CheckOpenSsl(context != nullptr, "allocate a cipher");
  CheckOpenSsl(EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, input.key.data(),
                                 input.nonce.data(), static_cast<int>(direction)) == 1,
               "begin AES-256-GCM");
  int taken = 0;
  if (!input.associated.empty()) {
    CheckOpenSsl(EVP_CipherUpdate(context.get(), nullptr, &taken, input.associated.data(),
                                  static_cast<int>(input.associated.size())) == 1,
                 "authenticate associated data");
  }
  return context;
}

void Process(EVP_CIPHER_CTX* context, std::span<const uint8_t> from, uint8_t* to) {
  if (from.empty()) return;
  int written = 0;
  CheckOpenSsl(
      EVP_CipherUpdate(context, to, &written, from.data(), static_cast<int>(from.size())) == 1 &&
          static_cast<size_t>(written) == from.size(),
      "compute AES-256-GCM");
}

}  // namespace

std::vector<uint8_t> Seal(const SealInput& input, std::span<const uint8_t> plain) {
  SKERRY_ASSERT(plain.size() <= kSpanBytesMax);
  const EvpCipherContextPtr context = Begin(input, Direction::kSeal);
  std::vector<uint8_t> sealed(plain.size() + kSealTagBytes);
  uint8_t* const tag = sealed.data() + plain.size();
  Process(context.get(), plain, sealed.data());
  int written = 0;
  CheckOpenSsl(
      EVP_CipherFinal_ex(context.get(), tag, &written) == 1 && written == 0 &&
          EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kSealTagBytes, tag) == 1,
      "end AES-256-GCM");
  return sealed;
}

absl::StatusOr<SecretBytes> OpenSealed(const SealInput& input, std::span<const uint8_t> sealed) {
  if (sealed.size() < kSealTagBytes || sealed.size() - kSealTagBytes > kSpanBytesMax) {
    return absl::UnauthenticatedError(
        fmt::format("a sealed message has {} bytes, expected {} to {}", sealed.size(),
                    kSealTagBytes, kSpanBytesMax + kSealTagBytes));
  }
  const EvpCipherContextPtr context = Begin(input, Direction::kOpen);
  const size_t size = sealed.size() - kSealTagBytes;
  // Wiped on every way out: before the tag is checked, the text must not reach anybody.
  SecretBytes plain(size);
  Process(context.get(), sealed.first(size), plain.mutable_bytes().data());
  std::vector<uint8_t> tag(sealed.begin() + static_cast<ptrdiff_t>(size), sealed.end());
  CheckOpenSsl(
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kSealTagBytes, tag.data()) == 1,
      "set the tag of AES-256-GCM");
  int written = 0;
  if (EVP_CipherFinal_ex(context.get(), tag.data(), &written) != 1) {
    return absl::UnauthenticatedError(
        "a sealed message was changed on its way, or is meant for another reader or session");
  }
  return plain;
}

}  // namespace skerry
