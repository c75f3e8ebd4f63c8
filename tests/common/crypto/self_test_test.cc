#include "common/crypto/self_test.h"

#include <algorithm>
#include <vector>

#include "common/crypto/key_stream.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using ::testing::HasSubstr;

const std::vector<uint8_t> kZeroKey(KeyStream::kKeyBytes);

void ReadRight(uint64_t position, std::span<uint8_t> out) {
  KeyStream(kZeroKey).Read(position, out);
}

TEST(SelfTestTest, TheCryptographyOfThisMachinePasses) { EXPECT_OK(SelfTestCrypto()); }

TEST(SelfTestTest, ARightStreamPasses) { EXPECT_OK(CheckKeyStream(ReadRight)); }

TEST(SelfTestTest, AStreamOfAnotherKeyIsNoticed) {
  std::vector<uint8_t> key = kZeroKey;
  key[0] = 1;
  const absl::Status checked = CheckKeyStream(
      [&](uint64_t position, std::span<uint8_t> out) { KeyStream(key).Read(position, out); });
  EXPECT_THAT(checked, StatusIs(absl::StatusCode::kInternal, HasSubstr("block 0 of the zero key")));
}

// A fault of a path that takes many blocks at once: single blocks are right.
TEST(SelfTestTest, AFaultOfLongReadsOnlyIsNoticed) {
  for (const size_t wrong_byte : {0u, 130u, 1600u, 3206u}) {
    const absl::Status checked = CheckKeyStream([&](uint64_t position, std::span<uint8_t> out) {
      ReadRight(position, out);
      if (out.size() > wrong_byte && out.size() > 16) out[wrong_byte] ^= 1;
    });
    EXPECT_THAT(checked, StatusIs(absl::StatusCode::kInternal, HasSubstr("read at once")))
        << wrong_byte;
  }
}

// Counters that lose the carry out of their lowest 8, 16 or 32 bits, within a long read as well as
// at its start.
TEST(SelfTestTest, ACounterThatWrapsTooEarlyIsNoticed) {
  for (const unsigned bits : {8u, 16u, 32u}) {
    const uint64_t mask = (uint64_t{16} << bits) - 1;
    const auto read_wrapped = [&](uint64_t position, std::span<uint8_t> out) {
      for (size_t i = 0; i < out.size(); ++i) {
        ReadRight((position + i) & mask, out.subspan(i, 1));
      }
    };
    EXPECT_THAT(CheckKeyStream(read_wrapped), StatusIs(absl::StatusCode::kInternal)) << bits;

    // Right at any start, wrong only past a carry within one read.
    const auto read_wrapped_inside = [&](uint64_t position, std::span<uint8_t> out) {
      for (size_t i = 0; i < out.size(); ++i) {
        ReadRight((position & ~mask) | ((position + i) & mask), out.subspan(i, 1));
      }
    };
    EXPECT_THAT(CheckKeyStream(read_wrapped_inside),
                StatusIs(absl::StatusCode::kInternal, HasSubstr("read at once")))
        << bits;
  }
}

}  // namespace
}  // namespace skerry
