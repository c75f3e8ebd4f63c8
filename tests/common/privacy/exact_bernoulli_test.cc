#include "common/privacy/exact_bernoulli.h"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/rng.h"
#include "common/base/status.h"
#include "tests/common/privacy/chi_squared.h"

namespace skerry {
namespace {

constexpr uint64_t kThirdDigits = 0x5555555555555555;  // of 1/3, for ever

// Gives the listed words; asking for more aborts.
class ScriptedWords {
 public:
  explicit ScriptedWords(std::vector<uint64_t> words) : words_(std::move(words)) {}
  uint64_t Next() {
    SKERRY_ASSERT(used_ < words_.size());
    return words_[used_++];
  }
  bool is_used_up() const { return used_ == words_.size(); }

 private:
  std::vector<uint64_t> words_;
  size_t used_ = 0;
};

// Repeatable words that are kept for looking at.
class RecordedWords {
 public:
  explicit RecordedWords(uint64_t seed) : rng_(seed) {}
  uint64_t Next() {
    words_.push_back(rng_.NextU64());
    return words_.back();
  }
  std::vector<uint64_t> TakeWords() { return std::exchange(words_, {}); }

 private:
  Rng rng_;
  std::vector<uint64_t> words_;
};

// Whether `count` of `total` is what a coin of `probability` gives, to five standard deviations.
void ExpectFrequency(uint64_t count, uint64_t total, double probability) {
  const auto n = static_cast<double>(total);
  EXPECT_NEAR(static_cast<double>(count), n * probability,
              5 * std::sqrt(n * probability * (1 - probability)));
}

TEST(DrawRatioTest, FirstDigitThatDiffersDecides) {
  ScriptedWords below({kThirdDigits - 1});
  ScriptedWords above({kThirdDigits + 1});

  EXPECT_TRUE(DrawRatio(1, 3, below));
  EXPECT_FALSE(DrawRatio(1, 3, above));
}

TEST(DrawRatioTest, WordOfEqualDigitsAsksForFurtherOnes) {
  ScriptedWords below({kThirdDigits, kThirdDigits, kThirdDigits - 1});
  ScriptedWords above({kThirdDigits, kThirdDigits, kThirdDigits + 1});

  EXPECT_TRUE(DrawRatio(1, 3, below));
  EXPECT_FALSE(DrawRatio(1, 3, above));
  EXPECT_TRUE(below.is_used_up());
  EXPECT_TRUE(above.is_used_up());
}

TEST(DrawRatioTest, ZeroAndOneAreCertainAlsoAfterEqualDigits) {
  ScriptedWords zeros({0, 0, 1});
  ScriptedWords ones({~uint64_t{0}, ~uint64_t{0} - 1});

  EXPECT_FALSE(DrawRatio(0, 5, zeros));
  EXPECT_TRUE(DrawRatio(5, 5, ones));
}

TEST(DrawRatioTest, LargestDenominatorDoesNotOverflow) {
  const UInt128 denominator = (UInt128{1} << 127) - 1;
  RecordedWords words(1);
  uint64_t count = 0;
  constexpr uint64_t kDraws = 100'000;
  for (uint64_t i = 0; i < kDraws; ++i) count += DrawRatio(denominator / 4 * 3, denominator, words);

  ExpectFrequency(count, kDraws, 0.75);
}

TEST(DrawFractionTest, ComparesAllDigitsOfALargeFraction) {
  const uint64_t half = uint64_t{1} << 52;  // 2^52 2^-53
  ScriptedWords below({(uint64_t{1} << 63) - 1});
  ScriptedWords above({uint64_t{1} << 63});
  ScriptedWords largest({~uint64_t{0}});

  EXPECT_TRUE(DrawFraction(half, 53, below));
  EXPECT_FALSE(DrawFraction(half, 53, above));
  EXPECT_TRUE(DrawFraction(half, 52, largest));  // certain
}

TEST(DrawFractionTest, DigitsBeyondAWordMustBeZeroFirst) {
  const uint64_t numerator = uint64_t{1} << 52;
  // 2^52 2^-200: 147 zeros (64, 64, 19), then 53 digits below the numerator.
  ScriptedWords below({0, 0, uint64_t{0x1fffffffffff}, (uint64_t{1} << 63) - 1});
  ScriptedWords early({uint64_t{1} << 20});
  ScriptedWords late({0, 0, uint64_t{1} << 45});
  ScriptedWords above({0, 0, 0, uint64_t{1} << 63});

  EXPECT_TRUE(DrawFraction(numerator, 200, below));
  EXPECT_FALSE(DrawFraction(numerator, 200, early));
  EXPECT_FALSE(DrawFraction(numerator, 200, late));
  EXPECT_FALSE(DrawFraction(numerator, 200, above));
}

TEST(DrawBelowTest, RefusesTheWordsThatWouldBiasIt) {
  ScriptedWords words({0, ~uint64_t{0}});  // 2^64 mod 3 is 1: one word of them is too many

  EXPECT_EQ(DrawBelow(3, words), 2u);
  EXPECT_TRUE(words.is_used_up());
}

TEST(DrawBelowTest, IsUniform) {
  RecordedWords words(2);
  std::vector<uint64_t> counts(7);
  for (int i = 0; i < 200'000; ++i) ++counts[DrawBelow(7, words)];

  EXPECT_LT(ChiSquaredDeviations(counts, std::vector<long double>(7, 1.0L / 7)), 5);
}

TEST(DrawExpTest, HappensWithTheExponentialsProbability) {
  for (const uint64_t numerator : {0u, 1u, 2u, 5u, 9u, 10u}) {
    RecordedWords words(numerator);
    uint64_t count = 0;
    constexpr uint64_t kDraws = 500'000;
    for (uint64_t i = 0; i < kDraws; ++i) {
      count += DrawExp([&] { return DrawRatio(numerator, 10, words); }, words);
    }

    ExpectFrequency(count, kDraws, std::exp(-0.1 * static_cast<double>(numerator)));
  }
}

// The number that decides about 1/3! shares its first 64 digits with it: the rest decides.
TEST(DrawExpTest, TieAtASixthIsDecidedByFurtherDigits) {
  constexpr uint64_t kSixth = ~uint64_t{0} / 6;
  const auto certain = [] { return true; };
  // 2^64 / 6 = kSixth + 4/6. At or above the remainder: the third coin fails, which is odd.
  ScriptedWords above({kSixth, ~uint64_t{0}});
  // Below: the third succeeds and the fourth, of 1/4, fails or succeeds before the fifth fails.
  ScriptedWords fourth({kSixth, 0, uint64_t{1} << 63});
  ScriptedWords fifth({kSixth, 0, 0, uint64_t{1} << 63});

  EXPECT_TRUE(DrawExp(certain, above));
  EXPECT_FALSE(DrawExp(certain, fourth));
  EXPECT_TRUE(DrawExp(certain, fifth));
  EXPECT_TRUE(above.is_used_up());
  EXPECT_TRUE(fourth.is_used_up());
  EXPECT_TRUE(fifth.is_used_up());
}

// The first k with 1/k! at or below the number whose digits are `lane`'s bits of `words`, as far as
// 1/8!; 9 for anything beyond.
int TrialsOf(const std::vector<uint64_t>& words, int lane) {
  long double number = 0;
  long double weight = 1;
  for (const uint64_t word : words) {
    weight /= 2;
    if (((word >> lane) & 1) != 0) number += weight;
  }
  long double inverse = 1;
  for (int k = 2; k <= 8; ++k) {
    inverse /= k;
    if (number >= inverse) return k;
  }
  return 9;
}

TEST(ExpOneCoinsTest, EachOfTheSixtyFourFollowsItsOwnNumber) {
  RecordedWords words(3);
  ExpOneCoins coins(words);
  for (int batch = 0; batch < 2'000; ++batch) {
    std::vector<bool> tossed;
    for (int lane = 0; lane < 64; ++lane) tossed.push_back(coins.Next());
    const std::vector<uint64_t> digits = words.TakeWords();
    for (int lane = 0; lane < 64; ++lane) {
      const int trials = TrialsOf(digits, lane);
      if (trials > 8) continue;
      EXPECT_EQ(tossed[static_cast<size_t>(lane)], trials % 2 == 1);
    }
  }
}

TEST(ExpOneCoinsTest, NumberBeyondTheLastFactorialGoesOnCoinByCoin) {
  // Lane 5 is 0 in all digits, the others are 1 at the first: K = 2.
  const std::vector<uint64_t> zero_in_lane_5(16, ~(uint64_t{1} << 5));
  std::vector<uint64_t> ninth = zero_in_lane_5;
  ninth.insert(ninth.end(), {uint64_t{1} << 63});  // 1/9 fails: K = 9
  std::vector<uint64_t> tenth = zero_in_lane_5;
  tenth.insert(tenth.end(), {0, uint64_t{1} << 63});  // 1/9 succeeds, 1/10 fails: K = 10
  ScriptedWords ninth_words(ninth);
  ScriptedWords tenth_words(tenth);
  ExpOneCoins ninth_coins(ninth_words);
  ExpOneCoins tenth_coins(tenth_words);

  for (int lane = 0; lane < 64; ++lane) {
    EXPECT_EQ(ninth_coins.Next(), lane == 5) << lane;
    EXPECT_FALSE(tenth_coins.Next()) << lane;
  }
  EXPECT_TRUE(ninth_words.is_used_up());
  EXPECT_TRUE(tenth_words.is_used_up());
}

TEST(ExpOneCoinsTest, RunsAreGeometricAndUseTheSameCoins) {
  RecordedWords words(4);
  RecordedWords same_words(4);
  ExpOneCoins coins(words);
  ExpOneCoins same_coins(same_words);
  constexpr size_t kRunMax = 9;
  std::vector<uint64_t> counts(kRunMax + 1);
  for (int i = 0; i < 300'000; ++i) {
    uint64_t expected = 0;
    while (same_coins.Next()) ++expected;
    const uint64_t run = coins.NextRun();
    ASSERT_EQ(run, expected);
    ++counts[std::min<size_t>(run, kRunMax)];
  }

  std::vector<long double> probabilities;
  for (size_t run = 0; run < kRunMax; ++run) {
    probabilities.push_back(std::exp(-static_cast<long double>(run)) * (1 - std::exp(-1.0L)));
  }
  probabilities.push_back(std::exp(-static_cast<long double>(kRunMax)));
  EXPECT_LT(ChiSquaredDeviations(counts, probabilities), 5);
}

}  // namespace
}  // namespace skerry
