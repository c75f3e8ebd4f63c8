#include "common/crypto/key_stream.h"

#include <algorithm>
#include <bit>

#include "common/base/bytes.h"
#include "common/crypto/hex.h"
#include "tests/support/hex_bytes.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

const std::vector<uint8_t> kZeroKey(KeyStream::kKeyBytes);

std::vector<uint8_t> ReadOnce(uint64_t position, size_t size) {
  std::vector<uint8_t> bytes(size, 0xaa);
  KeyStream(kZeroKey).Read(position, bytes);
  return bytes;
}

// AES-128 under the zero key of the blocks 0, 1 and 2, from "The Galois/Counter Mode of Operation"
// (McGrew and Viega, 2005), appendix B: H and E(K, Y0) of test case 1, and the ciphertext of the
// zero plaintext of test case 2.
constexpr std::string_view kZeroKeyBlocks =
    "66e94bd4ef8a2c3b884cfa59ca342b2e"
    "58e2fccefa7e3061367f1d57a4e7455a"
    "0388dace60b6a392f328c2b971b2fe78";

TEST(KeyStreamTest, PublishedBlocksUnderTheZeroKeyHold) {
  EXPECT_EQ(HexOf(ReadOnce(0, 48)), kZeroKeyBlocks);
}

TEST(KeyStreamTest, AnyPieceIsThatPartOfTheWhole) {
  // Longer than two tiles of the implementation, not a whole number of blocks.
  const std::vector<uint8_t> whole = ReadOnce(0, 40'007);
  KeyStream stream(kZeroKey);
  for (const size_t position : {0u, 1u, 15u, 16u, 17u, 4096u, 16'383u, 16'384u, 39'000u, 3u}) {
    for (const size_t size : {0u, 1u, 16u, 33u, 1000u}) {
      std::vector<uint8_t> piece(size);
      stream.Read(position, piece);
      EXPECT_TRUE(std::ranges::equal(piece, std::span(whole).subspan(position, size)))
          << position << " + " << size;
    }
  }
}

// On a processor without wide instructions both are OpenSSL's.
TEST(KeyStreamTest, TheFastestPathGivesOpenSslsStream) {
  KeyStream fastest(kZeroKey);
  KeyStream open_ssl(kZeroKey, KeyStream::Path::kOpenSsl);
  for (const uint64_t position : {uint64_t{0}, uint64_t{5}, (uint64_t{1} << 36) - 1001}) {
    for (const size_t size : {511u, 512u, 527u, 528u, 543u, 544u, 5000u, 40'007u}) {
      std::vector<uint8_t> one(size);
      std::vector<uint8_t> other(size);
      fastest.Read(position, one);
      open_ssl.Read(position, other);
      EXPECT_TRUE(one == other) << position << " + " << size;
    }
  }
}

TEST(KeyStreamTest, PiecesInARowGiveTheWhole) {
  const std::vector<uint8_t> whole = ReadOnce(5, 10'000);
  std::vector<uint8_t> pieces(10'000);
  KeyStream stream(kZeroKey);
  size_t done = 0;
  for (size_t size = 1; done < pieces.size(); size = size * 2 + 1) {
    const size_t step = std::min(size, pieces.size() - done);
    stream.Read(5 + done, std::span(pieces).subspan(done, step));
    done += step;
  }
  EXPECT_EQ(pieces, whole);
}

TEST(KeyStreamTest, WordsAreLittleEndianGroupsOfFourBytes) {
  const std::vector<uint8_t> bytes = FromHex(kZeroKeyBlocks);
  std::vector<uint32_t> words(7);
  KeyStream(kZeroKey).ReadWords(3, words);
  for (size_t i = 0; i < words.size(); ++i) {
    EXPECT_EQ(words[i], LoadLittleEndian<uint32_t>(&bytes[4 * (3 + i)])) << i;
  }
}

TEST(KeyStreamTest, TheCounterCarriesPastFourGigabytesAndThirtyTwoBits) {
  // Block 2^32 differs from block 0, as it would not if the counter wrapped at 32 bits; and going
  // on over the carry equals starting after it.
  const uint64_t carry = (uint64_t{1} << 32) * 16;
  const std::vector<uint8_t> across = ReadOnce(carry - 16, 48);
  EXPECT_NE(HexOf(ReadOnce(carry, 16)), HexOf(ReadOnce(0, 16)));
  EXPECT_EQ(HexOf(std::span(across).subspan(16)), HexOf(ReadOnce(carry, 32)));
}

TEST(KeyStreamTest, AnotherKeyGivesAnotherRow) {
  std::vector<uint8_t> key = kZeroKey;
  key[15] = 1;
  std::vector<uint8_t> bytes(16);
  KeyStream(key).Read(0, bytes);
  EXPECT_NE(HexOf(bytes), HexOf(ReadOnce(0, 16)));
}

TEST(KeyStreamTest, AMovedStreamKeepsItsKey) {
  KeyStream first(kZeroKey);
  KeyStream second = std::move(first);
  std::vector<uint8_t> bytes(48);
  second.Read(0, bytes);
  EXPECT_EQ(HexOf(bytes), kZeroKeyBlocks);
}

}  // namespace
}  // namespace skerry
