#include "common/crypto/sha256.h"

#include "common/base/bytes.h"
#include "common/crypto/openssl_check.h"

namespace skerry {
namespace {

void Begin(EVP_MD_CTX* context) {
  CheckOpenSsl(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1, "begin SHA-256");
}

}  // namespace

struct Sha256::Context {
  EvpDigestContextPtr evp{EVP_MD_CTX_new()};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CheckOpenSsl(context_->evp != nullptr, "allocate a digest");
  Begin(context_->evp.get());
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::span<const uint8_t> bytes) {
  CheckOpenSsl(EVP_DigestUpdate(context_->evp.get(), bytes.data(), bytes.size()) == 1,
               "compute SHA-256");
}

void Sha256::Update(std::string_view text) { Update(AsBytes(text.data(), text.size())); }

Sha256Digest Sha256::Finish() {
  Sha256Digest digest;
  CheckOpenSsl(EVP_DigestFinal_ex(context_->evp.get(), digest.data(), nullptr) == 1,
               "finish SHA-256");
  Begin(context_->evp.get());
  return digest;
}

Sha256Digest Sha256Of(std::span<const uint8_t> bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

Sha256Digest Sha256Of(std::string_view text) { return Sha256Of(AsBytes(text.data(), text.size())); }

}  // namespace skerry
