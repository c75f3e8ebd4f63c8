#include "common/secagg/rounding_key.h"

#include <set>
#include <string>

#include "common/crypto/hex.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

std::string KeyHex(uint64_t seed, const std::string& node, uint64_t round) {
  return HexOf(RoundingKey(seed, NodeId(node), RoundId(round)).bytes());
}

TEST(RoundingKeyTest, EqualsHkdfComputedWithAnotherImplementation) {
  // Python's hmac and hashlib: HKDF-SHA256 of the seed as 8 little-endian bytes, empty salt, the
  // transcript ("purpose", "skerry-rounding-v1"), ("node", "node-3"), ("round", 7) as info.
  EXPECT_EQ(KeyHex(42, "node-3", 7), "5b4e32327764d9036d79112d1e593b35");
}

TEST(RoundingKeyTest, EverySeedNodeAndRoundHasItsOwn) {
  const std::set<std::string> keys = {KeyHex(1, "a", 1), KeyHex(2, "a", 1),  KeyHex(1, "b", 1),
                                      KeyHex(1, "a", 2), KeyHex(1, "a1", 1), KeyHex(1, "a", 11)};
  EXPECT_EQ(keys.size(), 6u);
}

TEST(RoundingKeyTest, FurtherAttemptHasItsOwn) {
  const SecretBytes first = RoundingKey(1, NodeId("a"), RoundId(1));
  const SecretBytes second = RoundingKey(1, NodeId("a"), RoundId(1), AttemptId(2));
  EXPECT_TRUE(first == RoundingKey(1, NodeId("a"), RoundId(1), AttemptId(1)));
  EXPECT_FALSE(first == second);
}

}  // namespace
}  // namespace skerry
