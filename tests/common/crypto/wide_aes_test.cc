#include "common/crypto/wide_aes.h"

#include <vector>

#include "common/crypto/hex.h"
#include "common/crypto/key_stream.h"
#include "tests/support/hex_bytes.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

class WideAesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!WideAes::IsSupported()) GTEST_SKIP() << "this processor has no VAES";
  }
};

std::vector<uint8_t> Write(std::span<const uint8_t> key, uint64_t first_block, size_t size) {
  std::vector<uint8_t> out(size);
  WideAes(key).Write(first_block, out);
  return out;
}

// AES-128 of zero under the key of FIPS 197's appendix A: RFC 4493, section 4, subkey generation.
TEST_F(WideAesTest, ThePublishedBlockOfAnOrdinaryKeyHolds) {
  const auto stream = Write(FromHex("2b7e151628aed2a6abf7158809cf4f3c"), 0, WideAes::kStepBytes);
  EXPECT_EQ(HexOf(std::span(stream).first(16)), "7df76b0c1ab899b33e42f047b91b546f");
}

// A KeyStream asks OpenSSL for reads of one block. Starts before every carry of the counter, and
// many keys, because each of the schedule's rounds has a constant of its own.
TEST_F(WideAesTest, EveryBlockIsOpenSsls) {
  SeededRandom random(1);
  for (unsigned bits = 0; bits < 60; bits += 4) {
    const SecretBytes key = random.DrawSecret(KeyStream::kKeyBytes);
    const uint64_t carry = uint64_t{1} << bits;
    const uint64_t first = carry > 37 ? carry - 37 : carry - 1;
    const auto stream = Write(key.bytes(), first, 4 * WideAes::kStepBytes);
    KeyStream single(key.bytes());
    for (size_t done = 0; done < stream.size(); done += 16) {
      std::vector<uint8_t> block(16);
      single.Read(first * 16 + done, block);
      ASSERT_EQ(HexOf(std::span(stream).subspan(done, 16)), HexOf(block)) << bits << " " << done;
    }
  }
}

TEST_F(WideAesTest, NothingIsWrittenForNothing) {
  EXPECT_TRUE(Write(FromHex("00000000000000000000000000000000"), 7, 0).empty());
}

}  // namespace
}  // namespace skerry
