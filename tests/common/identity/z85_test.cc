#include "common/identity/z85.h"

#include <array>

#include "tests/support/hex_bytes.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(Z85Test, TheTestVectorOfRfc32Holds) {
  const std::vector<uint8_t> bytes = FromHex("864fd26fb559f75b");
  EXPECT_EQ(Z85Encode(bytes), "HelloWorld");
  std::vector<uint8_t> decoded(8);
  ASSERT_OK(Z85Decode("HelloWorld", decoded));
  EXPECT_EQ(decoded, bytes);
}

// The "Test key" of RFC 32 is a CURVE public key.
TEST(Z85Test, TheTestKeyOfRfc32Holds) {
  const std::vector<uint8_t> key =
      FromHex("8e0bdd697628b91d8f245587ee95c5b04d48963f79259877b49cd9063aead3b7");
  EXPECT_EQ(Z85Encode(key), "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6");
}

TEST(Z85Test, EveryGroupComesBack) {
  for (const uint32_t value : {0u, 1u, 84u, 85u, 0x7fffffffu, 0xfffffffeu, 0xffffffffu}) {
    const std::array<uint8_t, 4> bytes = {
        static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16),
        static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
    std::array<uint8_t, 4> decoded{};
    ASSERT_OK(Z85Decode(Z85Encode(bytes), decoded)) << value;
    EXPECT_EQ(decoded, bytes);
  }
  EXPECT_EQ(Z85Encode({}), "");
}

TEST(Z85Test, AGroupAboveThirtyTwoBitsIsRefused) {
  std::array<uint8_t, 4> bytes{};
  EXPECT_OK(Z85Decode("%nSc0", bytes));  // 2^32 - 1
  EXPECT_THAT(Z85Decode("%nSc1", bytes), StatusIs(kInvalid, HasSubstr("characters 1 to 5")));
  EXPECT_THAT(Z85Decode("#####", bytes), StatusIs(kInvalid));
}

TEST(Z85Test, OtherCharactersAndLengthsAreRefusedWithoutTheText) {
  std::array<uint8_t, 4> bytes{};
  for (const std::string_view bad : {"Hel~o", "Hel\"o", "Hel o", "Hel\xffo", "Hel,o"}) {
    const absl::Status status = Z85Decode(bad, bytes);
    EXPECT_THAT(status, StatusIs(kInvalid, HasSubstr("character 4")));
    EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("Hel")));
  }
  EXPECT_THAT(Z85Decode("Hell", bytes), StatusIs(kInvalid, HasSubstr("expected 5 characters")));
  EXPECT_THAT(Z85Decode("HelloW", bytes), StatusIs(kInvalid, HasSubstr("got 6")));
}

}  // namespace
}  // namespace skerry
