#include "common/crypto/secret_bytes.h"

#include <sstream>
#include <type_traits>
#include <utility>

#include "tests/support/hex_bytes.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::Each;
using testing::ElementsAre;

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};

static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::is_copy_assignable_v<SecretBytes>);
static_assert(std::is_nothrow_move_constructible_v<SecretBytes>);
static_assert(!Printable<SecretBytes>);

TEST(SecretBytesTest, ANewSecretIsAllZero) {
  const SecretBytes secret(4);
  EXPECT_THAT(secret.bytes(), ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(SecretBytes().size(), 0u);
}

TEST(SecretBytesTest, EqualityLooksAtEveryByteAndTheSize) {
  const auto of = [](std::string_view hex) { return SecretBytes::CopyOf(FromHex(hex)); };
  EXPECT_TRUE(of("010203") == of("010203"));
  EXPECT_FALSE(of("010203") == of("010204"));
  EXPECT_FALSE(of("010203") == of("000203"));
  EXPECT_FALSE(of("010203") == of("0102"));
  EXPECT_TRUE(SecretBytes() == SecretBytes(0));
}

TEST(SecretBytesTest, MovingLeavesTheSourceEmpty) {
  SecretBytes from = SecretBytes::CopyOf(FromHex("0102"));
  SecretBytes to = std::move(from);
  EXPECT_EQ(from.size(), 0u);  // NOLINT: the state after a move is promised
  EXPECT_THAT(to.bytes(), ElementsAre(1, 2));

  SecretBytes other = SecretBytes::CopyOf(FromHex("0304"));
  other = std::move(to);
  EXPECT_THAT(other.bytes(), ElementsAre(1, 2));
  EXPECT_EQ(to.size(), 0u);  // NOLINT
}

TEST(SecretBytesTest, WipingClearsEveryByte) {
  std::vector<uint8_t> bytes = FromHex("ff01ff");
  WipeBytes(bytes);
  EXPECT_THAT(bytes, Each(0));
}

}  // namespace
}  // namespace skerry
