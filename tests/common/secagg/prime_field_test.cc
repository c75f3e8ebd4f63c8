#include "common/secagg/prime_field.h"

#include <vector>

#include <gtest/gtest.h>

#include "common/base/rng.h"

namespace skerry {
namespace {

__extension__ using Uint128 = unsigned __int128;

// The edges of the field and of machine words, and random elements.
std::vector<uint64_t> Elements() {
  std::vector<uint64_t> elements = {0, 1, 2, 3, 0xffff'ffff, uint64_t{1} << 32, uint64_t{1} << 60};
  for (uint64_t i = 1; i < 4; ++i) elements.push_back(kFieldPrime - i);
  elements.push_back(kFieldPrime / 2);
  elements.push_back(kFieldPrime / 2 + 1);
  Rng rng(61);
  while (elements.size() < 200) elements.push_back(rng.NextU64() % kFieldPrime);
  return elements;
}

TEST(PrimeFieldTest, SumDifferenceAndProductAreThoseOfWideIntegers) {
  for (const uint64_t a : Elements()) {
    for (const uint64_t b : Elements()) {
      ASSERT_EQ(FieldAdd(a, b), (Uint128{a} + b) % kFieldPrime) << a << " " << b;
      ASSERT_EQ(FieldSubtract(a, b), (Uint128{a} + kFieldPrime - b) % kFieldPrime) << a << " " << b;
      ASSERT_EQ(FieldMultiply(a, b), Uint128{a} * b % kFieldPrime) << a << " " << b;
    }
  }
}

TEST(PrimeFieldTest, AnElementTimesItsInverseIsOne) {
  for (const uint64_t a : Elements()) {
    if (a == 0) continue;
    ASSERT_LT(FieldInverse(a), kFieldPrime);
    ASSERT_EQ(Uint128{FieldInverse(a)} * a % kFieldPrime, 1u) << a;
  }
}

}  // namespace
}  // namespace skerry
