#include "common/secagg/mask.h"

#include <array>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "common/crypto/key_stream.h"
#include "tests/support/scripted_random.h"

namespace skerry {
namespace {

// A few words over three tiles of the implementation, so that the last is not full.
constexpr size_t kCount = 3 * 4096 + 5;

MaskKey KeyOf(uint64_t seed, bool is_subtracted = false) {
  return {SeededRandom(seed).DrawSecret(KeyStream::kKeyBytes), is_subtracted};
}

std::vector<MaskKey> SomeKeys() {
  std::vector<MaskKey> keys;
  for (uint64_t seed = 0; seed < 5; ++seed) keys.push_back(KeyOf(seed, seed % 2 == 1));
  return keys;
}

std::vector<RingElement> SomeUpdate(size_t count = kCount) {
  Rng rng(99);
  std::vector<RingElement> update(count);
  for (RingElement& element : update) element = static_cast<RingElement>(rng.NextU64());
  return update;
}

// Word `position` of a mask, from the definition: its block alone is read, by a stream of its own.
RingElement WordOf(const MaskKey& mask, size_t position) {
  std::array<uint8_t, 16> block;
  KeyStream(mask.key.bytes()).Read(position / 4 * 16, block);
  return LoadLittleEndian<uint32_t>(&block[position % 4 * 4]);
}

TEST(MaskTest, EveryCoordinateTakesItsWordOfEveryStream) {
  const auto masks = SomeKeys();
  for (const size_t first : {size_t{0}, size_t{3}, size_t{1} << 34}) {
    std::vector<RingElement> expected = SomeUpdate();
    for (size_t i = 0; i < kCount; ++i) {
      for (const MaskKey& mask : masks) {
        const RingElement word = WordOf(mask, first + i);
        expected[i] += mask.is_subtracted ? 0u - word : word;
      }
    }
    std::vector<RingElement> sum = SomeUpdate();

    ApplyMasks(sum, masks, first);

    EXPECT_EQ(sum, expected) << first;
  }
}

// AES-128 under the zero key of block 0 is 66e94bd4ef8a2c3b884cfa59ca342b2e (McGrew and Viega, "The
// Galois/Counter Mode of Operation", test case 1).
TEST(MaskTest, APublishedBlockBecomesLittleEndianWords) {
  std::vector<MaskKey> masks(1);
  masks[0].key = SecretBytes(KeyStream::kKeyBytes);
  std::vector<RingElement> sum(4);

  ApplyMasks(sum, masks);

  EXPECT_EQ(sum, (std::vector<RingElement>{0xd44be966, 0x3b2c8aef, 0x59fa4c88, 0x2e2b34ca}));
}

TEST(MaskTest, PiecesOfAnySizeGiveTheWhole) {
  const auto masks = SomeKeys();
  std::vector<RingElement> whole = SomeUpdate();
  ApplyMasks(whole, masks);
  std::vector<RingElement> pieces = SomeUpdate();
  size_t done = 0;
  for (size_t size = 1; done < kCount; size = size * 2 + 1) {
    const size_t step = std::min(size, kCount - done);
    ApplyMasks(std::span(pieces).subspan(done, step), masks, done);
    done += step;
  }
  EXPECT_EQ(pieces, whole);
}

TEST(MaskTest, AMaskThatIsAddedAndSubtractedLeavesNoTrace) {
  std::vector<RingElement> sum = SomeUpdate();
  ApplyMasks(sum, std::array{KeyOf(1), KeyOf(2)});
  ASSERT_NE(sum, SomeUpdate());

  ApplyMasks(sum, std::array{KeyOf(2, true), KeyOf(1, true)});

  EXPECT_EQ(sum, SomeUpdate());
}

TEST(MaskTest, NoMasksAndNoCoordinatesChangeNothing) {
  std::vector<RingElement> sum = SomeUpdate(10);
  ApplyMasks(sum, {});
  EXPECT_EQ(sum, SomeUpdate(10));
  ApplyMasks({}, SomeKeys());
}

// 64 keys, 256 pieces of 8 words of each: no row of words comes twice, neither under two keys nor
// within one.
TEST(MaskTest, MasksRepeatNeitherBetweenKeysNorWithinOne) {
  std::set<std::vector<RingElement>> rows;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    std::vector<RingElement> mask(2048);
    ApplyMasks(mask, std::array{KeyOf(seed)});
    for (size_t i = 0; i < mask.size(); i += 8) {
      const auto row = std::span(mask).subspan(i, 8);
      rows.emplace(row.begin(), row.end());
    }
  }
  EXPECT_EQ(rows.size(), 64u * 256u);
}

// Each byte of the words of a fixed key against the uniform distribution: the statistic has 255
// degrees of freedom, so mean 255 and standard deviation 22.6. The bounds are five of those.
TEST(MaskTest, EveryByteOfAMaskIsUniform) {
  constexpr size_t kWords = size_t{1} << 18;
  std::vector<RingElement> mask(kWords);
  ApplyMasks(mask, std::array{KeyOf(7)});
  for (unsigned shift = 0; shift < 32; shift += 8) {
    std::array<double, 256> counts{};
    for (const RingElement word : mask) counts[word >> shift & 0xff] += 1;
    constexpr double kExpected = kWords / 256.0;
    double statistic = 0;
    for (const double count : counts) {
      statistic += (count - kExpected) * (count - kExpected) / kExpected;
    }
    EXPECT_GT(statistic, 142) << shift;
    EXPECT_LT(statistic, 368) << shift;
  }
}

}  // namespace
}  // namespace skerry
