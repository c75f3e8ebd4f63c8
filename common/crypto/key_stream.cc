#include "common/crypto/key_stream.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/crypto/openssl_check.h"
#include "common/crypto/wide_aes.h"

namespace skerry {
namespace {

constexpr size_t kBlockBytes = 16;
// Zeros are written and encrypted in place; a tile stays in the first-level cache between the two.
constexpr size_t kTileBytes = 16 * 1024;

}  // namespace

struct KeyStream::Context {
  EvpCipherContextPtr evp{EVP_CIPHER_CTX_new()};
  uint64_t position = 0;  // of `evp`
  std::optional<WideAes> wide;
};

KeyStream::KeyStream(std::span<const uint8_t> key, Path path)
    : context_(std::make_unique<Context>()) {
  SKERRY_ASSERT(key.size() == kKeyBytes);
  CheckOpenSsl(context_->evp != nullptr, "allocate a cipher");
  const std::array<uint8_t, kBlockBytes> counter{};
  CheckOpenSsl(EVP_EncryptInit_ex(context_->evp.get(), EVP_aes_128_ctr(), nullptr, key.data(),
                                  counter.data()) == 1,
               "begin AES-128-CTR");
  if (path == Path::kFastest && WideAes::IsSupported()) context_->wide.emplace(key);
}

KeyStream::~KeyStream() = default;
KeyStream::KeyStream(KeyStream&&) noexcept = default;
KeyStream& KeyStream::operator=(KeyStream&&) noexcept = default;

void KeyStream::Seek(uint64_t position) {
  std::array<uint8_t, kBlockBytes> counter{};
  const uint64_t block = position / kBlockBytes;
  for (size_t i = 0; i < sizeof(block); ++i) {
    counter[kBlockBytes - 1 - i] = static_cast<uint8_t>(block >> (8 * i));
  }
  CheckOpenSsl(
      EVP_EncryptInit_ex(context_->evp.get(), nullptr, nullptr, nullptr, counter.data()) == 1,
      "position AES-128-CTR");
  context_->position = block * kBlockBytes;
  std::array<uint8_t, kBlockBytes> skipped;
  ReadAhead(std::span(skipped).first(position % kBlockBytes));
}

void KeyStream::ReadAhead(std::span<uint8_t> out) {
  while (!out.empty()) {
    const std::span<uint8_t> tile = out.first(std::min(out.size(), kTileBytes));
    std::memset(tile.data(), 0, tile.size());
    int written = 0;
    CheckOpenSsl(EVP_EncryptUpdate(context_->evp.get(), tile.data(), &written, tile.data(),
                                   static_cast<int>(tile.size())) == 1 &&
                     static_cast<size_t>(written) == tile.size(),
                 "compute AES-128-CTR");
    context_->position += tile.size();
    out = out.subspan(tile.size());
  }
}

void KeyStream::Read(uint64_t position, std::span<uint8_t> out) {
  SKERRY_ASSERT(out.size() <= std::numeric_limits<uint64_t>::max() - position);
  // From the next whole block on, as many wide steps as fit.
  if (context_->wide.has_value() && out.size() >= WideAes::kStepBytes + kBlockBytes) {
    const size_t unaligned = (kBlockBytes - position % kBlockBytes) % kBlockBytes;
    ReadByOpenSsl(position, out.first(unaligned));
    out = out.subspan(unaligned);
    position += unaligned;
    const size_t wide = out.size() - out.size() % WideAes::kStepBytes;
    context_->wide->Write(position / kBlockBytes, out.first(wide));
    out = out.subspan(wide);
    position += wide;
  }
  ReadByOpenSsl(position, out);
}

void KeyStream::ReadByOpenSsl(uint64_t position, std::span<uint8_t> out) {
  if (out.empty()) return;
  if (position != context_->position) Seek(position);
  ReadAhead(out);
}

void KeyStream::ReadWords(uint64_t position, std::span<uint32_t> out) {
  static_assert(std::endian::native == std::endian::little);
  SKERRY_ASSERT(position <= std::numeric_limits<uint64_t>::max() / sizeof(uint32_t));
  Read(position * sizeof(uint32_t),
       {reinterpret_cast<uint8_t*>(out.data()), out.size() * sizeof(uint32_t)});
}

}  // namespace skerry
