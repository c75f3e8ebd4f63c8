#include "common/secagg/shamir.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/secagg/prime_field.h"

namespace skerry {
namespace {

constexpr size_t kLimbCount = std::tuple_size_v<ShamirShare>;
constexpr unsigned kLimbBits = 52;
constexpr size_t kWordBytes = sizeof(uint64_t);
static_assert(kShareBytes == kLimbCount * kWordBytes);

constexpr unsigned BitsOfLimb(size_t limb) {
  return limb + 1 < kLimbCount ? kLimbBits : kSharedSecretBytes * 8 - kLimbBits * (kLimbCount - 1);
}
// Every limb is an element of the field.
static_assert(kLimbBits < 61 && BitsOfLimb(kLimbCount - 1) == 48);

// Words wiped when they go.
template <size_t kCount>
struct SecretWords {
  std::array<uint64_t, kCount> words{};
  SecretWords() = default;
  ~SecretWords() { WipeBytes({reinterpret_cast<uint8_t*>(words.data()), sizeof(words)}); }
  SecretWords(const SecretWords&) = delete;
  SecretWords& operator=(const SecretWords&) = delete;
};
using Limbs = SecretWords<kLimbCount>;
using SecretAsWords = SecretWords<kSharedSecretBytes / kWordBytes>;

void CutIntoLimbs(const SecretBytes& secret, Limbs& limbs) {
  SecretAsWords whole;
  for (size_t i = 0; i < whole.words.size(); ++i) {
    whole.words[i] = LoadLittleEndian<uint64_t>(&secret.bytes()[i * kWordBytes]);
  }
  for (size_t i = 0; i < kLimbCount; ++i) {
    const size_t word = i * kLimbBits / 64;
    const unsigned shift = static_cast<unsigned>(i * kLimbBits % 64);
    uint64_t limb = whole.words[word] >> shift;
    if (shift + BitsOfLimb(i) > 64) limb |= whole.words[word + 1] << (64 - shift);
    limbs.words[i] = limb & ((uint64_t{1} << BitsOfLimb(i)) - 1);
  }
}

SecretBytes JoinLimbs(const Limbs& limbs) {
  SecretAsWords whole;
  for (size_t i = 0; i < kLimbCount; ++i) {
    const size_t word = i * kLimbBits / 64;
    const unsigned shift = static_cast<unsigned>(i * kLimbBits % 64);
    whole.words[word] |= limbs.words[i] << shift;
    if (shift + BitsOfLimb(i) > 64) whole.words[word + 1] |= limbs.words[i] >> (64 - shift);
  }
  SecretBytes secret(kSharedSecretBytes);
  for (size_t i = 0; i < whole.words.size(); ++i) {
    StoreLittleEndian(whole.words[i], &secret.mutable_bytes()[i * kWordBytes]);
  }
  return secret;
}

// `count` uniform elements of the field, as little-endian words. The lowest 61 bits of a random
// word are uniform below 2^61, and the one value that is not in the field is drawn again.
SecretBytes DrawElements(size_t count, RandomBits& random) {
  SecretBytes elements = random.DrawSecret(count * kWordBytes);
  for (size_t i = 0; i < count; ++i) {
    uint8_t* const at = &elements.mutable_bytes()[i * kWordBytes];
    uint64_t element = LoadLittleEndian<uint64_t>(at) & kFieldPrime;
    while (element == kFieldPrime) element = random.NextU64() & kFieldPrime;
    StoreLittleEndian(element, at);
  }
  return elements;
}

// The polynomial of `constant` and `coefficients` (of x, x^2, ...) at x, by Horner's rule.
uint64_t Evaluate(uint64_t constant, const SecretBytes& coefficients, uint64_t x) {
  uint64_t value = 0;
  for (size_t i = coefficients.size() / kWordBytes; i-- > 0;) {
    const auto coefficient = LoadLittleEndian<uint64_t>(&coefficients.bytes()[i * kWordBytes]);
    value = FieldMultiply(FieldAdd(value, coefficient), x);
  }
  return FieldAdd(value, constant);
}

}  // namespace

std::vector<ShamirShare> SplitSecret(const SecretBytes& secret, size_t threshold,
                                     std::span<const uint32_t> xs, RandomBits& random) {
  SKERRY_ASSERT(secret.size() == kSharedSecretBytes);
  SKERRY_ASSERT(threshold >= 1);
  Limbs limbs;
  CutIntoLimbs(secret, limbs);
  std::vector<ShamirShare> shares(xs.size());
  for (size_t i = 0; i < kLimbCount; ++i) {
    const SecretBytes coefficients = DrawElements(threshold - 1, random);
    for (size_t k = 0; k < xs.size(); ++k) {
      SKERRY_ASSERT(xs[k] != 0);  // there the polynomial is the secret
      shares[k][i] = Evaluate(limbs.words[i], coefficients, xs[k]);
    }
  }
  return shares;
}

// Weight i is the product over j != i of x_j / (x_j - x_i): the polynomial that is 1 at x_i and 0
// at the other holders, taken at 0.
ShamirRecovery::ShamirRecovery(std::vector<uint32_t> xs) : xs_(std::move(xs)) {
  SKERRY_ASSERT(!xs_.empty());
  weights_.reserve(xs_.size());
  for (size_t i = 0; i < xs_.size(); ++i) {
    SKERRY_ASSERT(xs_[i] != 0);
    uint64_t above = 1;
    uint64_t below = 1;
    for (size_t j = 0; j < xs_.size(); ++j) {
      if (j == i) continue;
      SKERRY_ASSERT(xs_[j] != xs_[i]);
      above = FieldMultiply(above, xs_[j]);
      below = FieldMultiply(below, FieldSubtract(xs_[j], xs_[i]));
    }
    weights_.push_back(FieldMultiply(above, FieldInverse(below)));
  }
}

absl::StatusOr<SecretBytes> ShamirRecovery::Recover(std::span<const ShamirShare> shares) const {
  SKERRY_ASSERT(shares.size() == xs_.size());
  Limbs limbs;
  for (size_t k = 0; k < shares.size(); ++k) {
    for (size_t i = 0; i < kLimbCount; ++i) {
      if (shares[k][i] >= kFieldPrime) {
        return absl::InvalidArgumentError(
            fmt::format("element {} of the share at x = {} is not below 2^61 - 1", i, xs_[k]));
      }
      limbs.words[i] = FieldAdd(limbs.words[i], FieldMultiply(weights_[k], shares[k][i]));
    }
  }
  for (size_t i = 0; i < kLimbCount; ++i) {
    if (limbs.words[i] >> BitsOfLimb(i) != 0) {
      return absl::InvalidArgumentError(
          fmt::format("the {} shares do not fit together: limb {} of the secret has more than {} "
                      "bits, so a share is wrong or there are too few",
                      shares.size(), i, BitsOfLimb(i)));
    }
  }
  return JoinLimbs(limbs);
}

void WriteShare(const ShamirShare& share, std::span<uint8_t> out) {
  SKERRY_ASSERT(out.size() == kShareBytes);
  for (size_t i = 0; i < kLimbCount; ++i) StoreLittleEndian(share[i], &out[i * kWordBytes]);
}

absl::StatusOr<ShamirShare> ReadShare(std::span<const uint8_t> bytes) {
  if (bytes.size() != kShareBytes) {
    return absl::InvalidArgumentError(
        fmt::format("a share has {} bytes, expected {}", bytes.size(), kShareBytes));
  }
  ShamirShare share;
  for (size_t i = 0; i < kLimbCount; ++i) {
    share[i] = LoadLittleEndian<uint64_t>(&bytes[i * kWordBytes]);
    if (share[i] >= kFieldPrime) {
      return absl::InvalidArgumentError(
          fmt::format("element {} of a share is not below 2^61 - 1", i));
    }
  }
  return share;
}

}  // namespace skerry
