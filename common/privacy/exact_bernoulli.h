// Coins with exact probabilities, by integers and random words only (Canonne, Kamath and Steinke
// 2020, "The Discrete Gaussian for Differential Privacy", algorithms 1 and 2). A uniform number is
// drawn 64 binary digits at a time and only as far as the decision needs, so nothing is rounded.
//
// `Words` has `uint64_t Next()`; every call of it is an independent uniform word.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace skerry {

__extension__ typedef unsigned __int128 UInt128;

// Whether a uniform number whose first 64 digits are `word` is below numerator / denominator, with
// numerator <= denominator < 2^127: the quotient's binary digits by long division, compared with
// the number's; the first difference decides.
template <typename Words>
bool IsBelowRatio(uint64_t word, UInt128 numerator, UInt128 denominator, Words& words) {
  for (;; word = words.Next()) {
    for (int bit = 63; bit >= 0; --bit) {
      numerator <<= 1;
      const bool digit = numerator >= denominator;
      if (digit) numerator -= denominator;
      const bool drawn = ((word >> bit) & 1) != 0;
      if (drawn != digit) return digit;
    }
  }
}

// True with probability numerator / denominator.
template <typename Words>
bool DrawRatio(UInt128 numerator, UInt128 denominator, Words& words) {
  return IsBelowRatio(words.Next(), numerator, denominator, words);
}

// A double's mantissa.
inline constexpr int kFractionDigitsMax = 53;

// True with probability numerator 2^-digit_count, with numerator below 2^53 or that probability 1:
// an integer of so many random digits is below the numerator. Its digits beyond the last 53 must be
// 0 for that, and are looked at first.
template <typename Words>
bool DrawFraction(uint64_t numerator, int digit_count, Words& words) {
  while (digit_count > 64) {
    const int zeros = std::min(64, digit_count - kFractionDigitsMax);
    if (words.Next() >> (64 - zeros) != 0) return false;
    digit_count -= zeros;
  }
  return words.Next() >> (64 - digit_count) < numerator;
}

// Uniform in [0, bound), bound at least 1 (Lemire 2019, without bias).
template <typename Words>
uint64_t DrawBelow(uint64_t bound, Words& words) {
  UInt128 product = static_cast<UInt128>(words.Next()) * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t refused = (0 - bound) % bound;  // 2^64 mod bound
    while (static_cast<uint64_t>(product) < refused) {
      product = static_cast<UInt128>(words.Next()) * bound;
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

// True with probability exp(-x) for an x in [0, 1] given as a coin: `trial` is true with
// probability x, independently each time.
//
// The paper tosses coins of x/1, x/2, x/3, ... until one fails, the K-th; K is odd with probability
// 1 - x + x^2/2! - ... Here the coin of x/k is that of x and one of 1/k together, and those of 1/1
// to 1/3 are read off one number u: they all succeed if u < 1/3!. Written so that the processor has
// only rare branches to guess.
template <typename Trial, typename Words>
bool DrawExp(const Trial& trial, Words& words) {
  constexpr uint64_t kHalf = uint64_t{1} << 63;
  constexpr uint64_t kSixth = ~uint64_t{0} / 6;  // floor(2^64 / 6); the remainder is 4
  static_assert(static_cast<uint64_t>(kSixth * 6 + 4) == 0);
  const bool first = trial();
  const bool second = trial();
  const uint64_t word = words.Next();
  if (first & second & (word <= kSixth)) [[unlikely]] {
    if (word == kSixth && !DrawRatio(4, 6, words)) return true;  // K = 3
    if (!trial()) return true;                                   // K = 3
    uint64_t k = 4;
    while (trial() && DrawRatio(1, k, words)) ++k;
    return (k & 1) != 0;
  }
  return (!first) | (second & (word < kHalf));  // K = 1 or K = 3
}

// Coins of exp(-1), made sixty-four at a time: coin i is made from a number u_i whose j-th digit is
// bit i of the j-th word. As above, K_i is the first k with 1/k! at or below u_i, and the coin is
// whether K_i is odd.
template <typename Words>
class ExpOneCoins {
 public:
  explicit ExpOneCoins(Words& words) : words_(words) {}

  bool Next() {
    if (left_ == 0) Refill();
    const bool coin = (coins_ & 1) != 0;
    coins_ >>= 1;
    --left_;
    return coin;
  }

  // How many coins in a row are true before one that is not, which is used up too.
  uint64_t NextRun() {
    uint64_t run = 0;
    for (;;) {
      const int ones = std::countr_one(coins_);  // at most left_: zeros were shifted in
      run += static_cast<uint64_t>(ones);
      if (ones < left_) {
        coins_ = (coins_ >> ones) >> 1;
        left_ -= ones + 1;
        return run;
      }
      Refill();
    }
  }

 private:
  static constexpr size_t kFirst = 2;  // K is at least 2, because u < 1/1!
  static constexpr size_t kLast = 8;   // beyond, which one number of 40,320 is, coin by coin
  static constexpr std::array<uint32_t, kLast + 1> kFactorial = {1,   1,   2,    6,    24,
                                                                 120, 720, 5040, 40320};

  void Refill() {
    std::array<uint32_t, kLast + 1> remainder;
    std::array<uint64_t, kLast + 1> below{};  // u_i < 1/k!
    std::array<uint64_t, kLast + 1> open;     // not decided by the digits so far
    remainder.fill(1);
    open.fill(~uint64_t{0});
    for (uint64_t any_open = 1; any_open != 0;) {
      const uint64_t digits = words_.Next();
      any_open = 0;
      for (size_t k = kFirst; k <= kLast; ++k) {
        remainder[k] *= 2;
        const bool is_one = remainder[k] >= kFactorial[k];
        remainder[k] -= is_one ? kFactorial[k] : 0;
        const uint64_t digit = is_one ? ~uint64_t{0} : 0;
        below[k] |= open[k] & ~digits & digit;
        open[k] &= ~(digits ^ digit);
        any_open |= open[k];
      }
    }
    coins_ = 0;
    for (size_t k = kFirst; k <= kLast; ++k) coins_ ^= below[k];
    for (uint64_t beyond = below[kLast]; beyond != 0; beyond &= beyond - 1) {
      for (uint64_t k = kLast + 1; DrawRatio(1, k, words_); ++k) coins_ ^= beyond & (0 - beyond);
    }
    left_ = 64;
  }

  Words& words_;
  uint64_t coins_ = 0;
  int left_ = 0;
};

}  // namespace skerry
