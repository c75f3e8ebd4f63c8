#include "common/crypto/transcript.h"

#include "common/crypto/hex.h"
#include "tests/support/hex_bytes.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

// Written out by hand from the header's description.
TEST(TranscriptTest, FieldsAreLabelsAndValuesWithTheirLengths) {
  Transcript transcript("p");
  transcript.Append("ab", "xyz").AppendU64("n", 0x0102).Append("", std::string_view());

  EXPECT_EQ(HexOf(transcript.bytes()),
            "0700000000000000"
            "707572706f7365"  // "purpose"
            "0100000000000000"
            "70"  // "p"
            "0200000000000000"
            "6162"  // "ab"
            "0300000000000000"
            "78797a"  // "xyz"
            "0100000000000000"
            "6e"  // "n"
            "0800000000000000"
            "0201000000000000"  // 258
            "0000000000000000"
            "0000000000000000");
  EXPECT_EQ(transcript.Digest(), Sha256Of(transcript.bytes()));
}

TEST(TranscriptTest, MovingABorderBetweenFieldsChangesTheBytes) {
  const auto digest = [](std::string_view label, std::string_view value) {
    return Transcript("p").Append(label, value).Digest();
  };
  EXPECT_NE(digest("ab", "c"), digest("a", "bc"));
  EXPECT_NE(Transcript("p").Append("a", "bc").Digest(),
            Transcript("p").Append("a", "b").Append("", "c").Digest());
  EXPECT_NE(Transcript("p").Digest(), Transcript("q").Digest());
}

TEST(TranscriptTest, BytesAndTextOfTheSameContentAreTheSame) {
  EXPECT_EQ(Transcript("p").Append("a", FromHex("6263")).Digest(),
            Transcript("p").Append("a", "bc").Digest());
}

}  // namespace
}  // namespace skerry
