// Shamir's secret sharing (CACM 1979) of 32-byte secrets: any `threshold` shares recover the
// secret, fewer say nothing about it.
//
// The secret's 256 bits, little-endian, are cut into four limbs of 52 bits and one of 48. Each limb
// is the value at 0 of its own random polynomial of degree threshold - 1 over the integers modulo
// 2^61 - 1, and share x is the five polynomials' values at x. Pure functions; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/crypto/random_bits.h"
#include "common/crypto/secret_bytes.h"

namespace skerry {

inline constexpr size_t kSharedSecretBytes = 32;
inline constexpr size_t kShareBytes = 40;

// Field elements, each below 2^61 - 1 (prime_field.h).
using ShamirShare = std::array<uint64_t, 5>;

struct HeldShare {
  uint32_t x = 0;
  ShamirShare share{};
};

// The shares for the holders' x, distinct and not zero. `secret` must hold kSharedSecretBytes, and
// 1 <= threshold; with fewer holders than that nobody can recover it. The coefficients are uniform
// in the field and wiped; the shares are the caller's to wipe.
std::vector<ShamirShare> SplitSecret(const SecretBytes& secret, size_t threshold,
                                     std::span<const uint32_t> xs, RandomBits& random);

// Recovers secrets from the shares of one set of holders. What depends on the holders alone, their
// Lagrange coefficients at 0, is computed once, so that each further secret costs five products a
// share.
class ShamirRecovery {
 public:
  // The holders' x, distinct and not zero; there must be at least one.
  explicit ShamirRecovery(std::vector<uint32_t> xs);

  // One share of each holder, in the order of `xs`; there must be at least as many as the threshold
  // was, or the result is noise. Fails with kInvalidArgument if an element is not in the field or a
  // limb has more bits than limbs have: a wrong share in all five elements escapes that with
  // probability 2^-49, in one element with 2^-9 or less. Who must be certain checks the secret
  // against something public.
  absl::StatusOr<SecretBytes> Recover(std::span<const ShamirShare> shares) const;

  size_t share_count() const { return xs_.size(); }

 private:
  std::vector<uint32_t> xs_;
  std::vector<uint64_t> weights_;
};

// The elements as little-endian 64-bit integers. `out` must hold kShareBytes.
void WriteShare(const ShamirShare& share, std::span<uint8_t> out);
// Fails with kInvalidArgument unless `bytes` are kShareBytes with every element in the field.
absl::StatusOr<ShamirShare> ReadShare(std::span<const uint8_t> bytes);

}  // namespace skerry
