#include "common/crypto/random_bits.h"

#include <bit>
#include <set>

#include "tests/support/hex_bytes.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;

TEST(RandomBitsTest, SecretsAndIntegersTakeTheirBytesInOrder) {
  ScriptedRandom random(FromHex("0102030807060504030201"));
  const SecretBytes secret = random.DrawSecret(3);
  EXPECT_THAT(secret.bytes(), ElementsAre(1, 2, 3));
  EXPECT_EQ(random.NextU64(), 0x0102030405060708u);
  EXPECT_EQ(random.bytes_left(), 0u);
}

TEST(RandomBitsTest, TheOperatingSystemFillsLargeAndEmptyBuffers) {
  // More than getrandom gives in one call without interruption (256 bytes).
  std::vector<uint8_t> bytes(1 << 20);
  SystemRandom().Fill(bytes);
  SystemRandom().Fill({});

  size_t ones = 0;
  for (const uint8_t byte : bytes) ones += static_cast<size_t>(std::popcount(byte));
  // 2^23 fair bits: standard deviation 1448, so seven of them fail about once in 10^11 runs.
  EXPECT_NEAR(static_cast<double>(ones), 4'194'304.0, 7 * 1448.2);
}

TEST(RandomBitsTest, TheOperatingSystemDoesNotRepeatItself) {
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(SystemRandom().NextU64());
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(ScriptedRandomDeathTest, AnExhaustedScriptAborts) {
  ScriptedRandom random(FromHex("01"));
  EXPECT_DEATH(random.DrawSecret(2), "assertion failed");
}

}  // namespace
}  // namespace skerry
