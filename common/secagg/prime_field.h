// Arithmetic modulo the Mersenne prime 2^61 - 1, over which secrets are shared (shamir.h). Elements
// are below the prime. Constant time is not promised: side channels within a host are outside the
// threat model.
#pragma once

#include <cstdint>

namespace skerry {

inline constexpr uint64_t kFieldPrime = (uint64_t{1} << 61) - 1;

constexpr uint64_t FieldAdd(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;  // below 2^62
  return sum >= kFieldPrime ? sum - kFieldPrime : sum;
}

constexpr uint64_t FieldSubtract(uint64_t a, uint64_t b) {
  return a >= b ? a - b : a + kFieldPrime - b;
}

// 2^61 is 1 modulo the prime, so the product's parts below and above bit 61 are simply added.
constexpr uint64_t FieldMultiply(uint64_t a, uint64_t b) {
  __extension__ using Uint128 = unsigned __int128;
  const Uint128 product = Uint128{a} * b;
  return FieldAdd(static_cast<uint64_t>(product) & kFieldPrime,
                  static_cast<uint64_t>(product >> 61));
}

// The inverse of a non-zero element: a^(p - 2), as a^(p - 1) is 1 (Fermat). Gives 0 for 0.
constexpr uint64_t FieldInverse(uint64_t a) {
  uint64_t result = 1;
  for (uint64_t exponent = kFieldPrime - 2; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = FieldMultiply(result, a);
    a = FieldMultiply(a, a);
  }
  return result;
}

}  // namespace skerry
