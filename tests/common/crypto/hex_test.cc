#include "common/crypto/hex.h"

#include <array>

#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(HexTest, BytesBecomeLowerCaseDigits) {
  EXPECT_EQ(HexOf(std::array<uint8_t, 3>{0x00, 0x9f, 0xff}), "009fff");
  EXPECT_EQ(HexOf({}), "");
}

TEST(HexTest, DigitsOfEitherCaseAreRead) {
  std::array<uint8_t, 3> bytes{};
  ASSERT_OK(ParseHex("00Ab9F", bytes));
  EXPECT_THAT(bytes, ElementsAre(0x00, 0xab, 0x9f));
}

TEST(HexTest, WrongLengthIsRefusedWithBothLengths) {
  std::array<uint8_t, 2> bytes{};
  EXPECT_THAT(ParseHex("00abc", bytes),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("expected 4 hexadecimal digits, got 5")));
}

TEST(HexTest, AMessageNamesThePositionAndNotTheText) {
  std::array<uint8_t, 2> bytes{};
  const absl::Status status = ParseHex("dez0", bytes);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("character 3")));
  EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("dez0")));
  // Neighbours of the digits and letters in ASCII.
  for (const std::string_view text : {"0/", "0:", "0@", "0G", "0`", "0g", " 0", "0x"}) {
    std::array<uint8_t, 1> byte{};
    EXPECT_THAT(ParseHex(text, byte), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

}  // namespace
}  // namespace skerry
