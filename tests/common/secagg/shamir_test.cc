#include "common/secagg/shamir.h"

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <numeric>

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/crypto/hex.h"
#include "common/secagg/prime_field.h"
#include "tests/support/hex_bytes.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using ::testing::HasSubstr;

SecretBytes SomeSecret(uint64_t seed) { return SeededRandom(seed).DrawSecret(kSharedSecretBytes); }

// x = 1 to `count`.
std::vector<uint32_t> Holders(size_t count) {
  std::vector<uint32_t> xs(count);
  std::iota(xs.begin(), xs.end(), 1u);
  return xs;
}

// What the holders at `xs` recover from the shares of all.
absl::StatusOr<SecretBytes> RecoverAt(const std::vector<uint32_t>& xs,
                                      const std::vector<ShamirShare>& shares) {
  std::vector<ShamirShare> held;
  for (const uint32_t x : xs) held.push_back(shares[x - 1]);
  return ShamirRecovery(xs).Recover(held);
}

// A polynomial of degree 2 for each limb; the script holds the coefficients in the order of the
// limbs. The first word of the third limb is 2^64 - 1, whose lowest 61 bits are not in the field;
// the word that takes its place follows the limb's own two. The shares were computed from the
// definition by a Python script, with nothing but its integers: sum(c * x**e) % (2**61 - 1).
constexpr std::string_view kGoldenSecret =
    "c8115aa3ec357ec71059a2eb347dc60f58a1ea337cc50e57a0e9327bc40d569f";
constexpr std::string_view kGoldenScript =
    "efcdab8967452301044af60821bf5a9f19c64088da38923d2e428b0794b2c9db"
    "ffffffffffffffff583a200607a638186db66a85c01f70b68232b5047a99a754"
    "97aeff833313dff2ac2a4a03ed8c1691c1a69482a6064e2f";
constexpr std::string_view kGoldenShares[] = {
    "bc29fc35753a8c00bf145db5283a5f1943b79ae368b0ac0edd38a1f9b2469507a04ca393e9326500",
    "b9d58ada3fbdbf1f66a13f54bf8a4e0abb1c667b3ec2c60d2677558ac719da14906bab1ecad3651f",
    "c11506914cbea81d6ab238027e40d112e4f6711f2220521d9f1209234313dd0704d8dcaef781021d",
    "d3e96d599b3d471acc4748bf645be712bf45becf13ca4e1d470bbcc325339e00fb913744723d3b19",
    "ef51c2332c3b9b158c616e8b73db900a4c094b8c13c0bc0d1d616e6c6f791d1f7599bbde39061014",
};

TEST(ShamirTest, SharesAreTheGoldenPolynomialsValues) {
  ScriptedRandom random(FromHex(kGoldenScript));

  const auto shares =
      SplitSecret(SecretBytes::CopyOf(FromHex(kGoldenSecret)), 3, Holders(5), random);

  ASSERT_EQ(shares.size(), std::size(kGoldenShares));
  EXPECT_EQ(random.bytes_left(), 0u);
  for (size_t i = 0; i < shares.size(); ++i) {
    std::vector<uint8_t> bytes(kShareBytes);
    WriteShare(shares[i], bytes);
    EXPECT_EQ(HexOf(bytes), kGoldenShares[i]) << "x = " << i + 1;
  }
}

TEST(ShamirTest, GoldenSharesGiveTheirSecretBack) {
  std::vector<ShamirShare> shares;
  for (const std::string_view hex : kGoldenShares) {
    ASSERT_OK_AND_ASSIGN(const ShamirShare share, ReadShare(FromHex(hex)));
    shares.push_back(share);
  }

  ASSERT_OK_AND_ASSIGN(const SecretBytes secret, RecoverAt({5, 1, 4}, shares));

  EXPECT_EQ(HexOf(secret.bytes()), kGoldenSecret);
}

TEST(ShamirTest, EverySubsetOfAtLeastTheThresholdRecoversTheSecret) {
  for (unsigned count = 1; count <= 7; ++count) {
    for (unsigned threshold = 1; threshold <= count; ++threshold) {
      SeededRandom random(100 * count + threshold);
      const SecretBytes secret = SomeSecret(count);
      const auto shares = SplitSecret(secret, threshold, Holders(count), random);
      for (unsigned subset = 0; subset < 1u << count; ++subset) {
        if (static_cast<unsigned>(std::popcount(subset)) < threshold) continue;
        std::vector<uint32_t> xs;
        for (unsigned i = 0; i < count; ++i) {
          if ((subset >> i & 1) != 0) xs.push_back(i + 1);
        }
        ASSERT_OK_AND_ASSIGN(const SecretBytes recovered, RecoverAt(xs, shares));
        ASSERT_TRUE(recovered == secret) << count << " " << threshold << " " << subset;
      }
    }
  }
}

TEST(ShamirTest, RandomSubsetsOfSixtyFourHoldersInAnyOrderRecoverTheSecret) {
  constexpr size_t kThreshold = 43;
  SeededRandom random(64);
  Rng rng(65);
  const SecretBytes secret = SomeSecret(66);
  const auto shares = SplitSecret(secret, kThreshold, Holders(64), random);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<uint32_t> xs(64);
    std::iota(xs.begin(), xs.end(), 1);
    for (size_t i = xs.size() - 1; i > 0; --i) std::swap(xs[i], xs[rng.NextU64() % (i + 1)]);
    xs.resize(kThreshold + rng.NextU64() % (64 - kThreshold + 1));

    ASSERT_OK_AND_ASSIGN(const SecretBytes recovered, RecoverAt(xs, shares));

    ASSERT_TRUE(recovered == secret) << trial;
  }
}

TEST(ShamirTest, ExtremeSecretsSurvive) {
  for (const uint8_t byte : std::initializer_list<uint8_t>{0x00, 0xff, 0x80, 0x01}) {
    const SecretBytes secret = SecretBytes::CopyOf(std::vector<uint8_t>(kSharedSecretBytes, byte));
    SeededRandom random(byte);
    ASSERT_OK_AND_ASSIGN(const SecretBytes recovered,
                         RecoverAt({2, 3}, SplitSecret(secret, 2, Holders(3), random)));
    EXPECT_TRUE(recovered == secret) << int{byte};
  }
}

uint64_t LimbOf(const SecretBytes& secret, size_t limb) {
  uint64_t value = 0;
  for (size_t bit = limb * 52; bit < std::min<size_t>((limb + 1) * 52, 256); ++bit) {
    value |= uint64_t{secret.bytes()[bit / 8] >> (bit % 8) & 1u} << (bit - limb * 52);
  }
  return value;
}

// Perfect secrecy, shown for given holders: for any other secret there are coefficients, exactly as
// likely, that give two holders below a threshold of three the very same shares. With d the
// difference of the secrets they are c + d * (x - x1)(x - x2) / (x1 x2) without its constant.
TEST(ShamirTest, FewerThanTheThresholdHoldTheSameSharesUnderEveryOtherSecret) {
  for (const auto& [x1, x2] : {std::pair<uint64_t, uint64_t>{1, 2}, {2, 5}, {4, 1}}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const SecretBytes secret = SomeSecret(1000 + seed);
      const SecretBytes other = SomeSecret(2000 + seed);
      SeededRandom drawn(seed);
      std::vector<uint8_t> coefficients(2 * kShareBytes);
      for (size_t i = 0; i < 10; ++i) {
        StoreLittleEndian(drawn.NextU64() % kFieldPrime, &coefficients[8 * i]);
      }
      std::vector<uint8_t> others_coefficients(coefficients.size());
      const uint64_t inverse = FieldInverse(x1 * x2);
      for (size_t i = 0; i < 5; ++i) {
        const uint64_t d =
            FieldMultiply(FieldSubtract(LimbOf(other, i), LimbOf(secret, i)), inverse);
        const auto c1 = LoadLittleEndian<uint64_t>(&coefficients[16 * i]);
        const auto c2 = LoadLittleEndian<uint64_t>(&coefficients[16 * i + 8]);
        StoreLittleEndian(FieldSubtract(c1, FieldMultiply(d, x1 + x2)),
                          &others_coefficients[16 * i]);
        StoreLittleEndian(FieldAdd(c2, d), &others_coefficients[16 * i + 8]);
      }
      ScriptedRandom random(coefficients);
      ScriptedRandom others_random(others_coefficients);

      const auto shares = SplitSecret(secret, 3, Holders(5), random);
      const auto others_shares = SplitSecret(other, 3, Holders(5), others_random);

      for (size_t x = 1; x <= 5; ++x) {
        const bool holds_no_news = x == x1 || x == x2;
        EXPECT_EQ(shares[x - 1] == others_shares[x - 1], holds_no_news) << x << " " << seed;
      }
    }
  }
}

TEST(ShamirTest, AWrongShareIsNoticed) {
  const SecretBytes secret = SomeSecret(7);
  SeededRandom random(8);
  auto shares = SplitSecret(secret, 3, Holders(5), random);
  Rng rng(9);
  for (uint64_t& element : shares[2]) element = rng.NextU64() % kFieldPrime;

  EXPECT_THAT(RecoverAt({1, 3, 4}, shares).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("do not fit together")));
  EXPECT_OK(RecoverAt({1, 2, 4}, shares).status());
}

TEST(ShamirTest, TooFewSharesAreNoticed) {
  SeededRandom random(10);
  const auto shares = SplitSecret(SomeSecret(11), 4, Holders(5), random);
  EXPECT_THAT(RecoverAt({1, 3, 5}, shares).status(), StatusIs(absl::StatusCode::kInvalidArgument));
}

// The last limb is shorter than the others: its value at 0 must have 48 bits, theirs 52.
TEST(ShamirTest, EachLimbIsHeldToItsOwnNumberOfBits) {
  for (size_t limb = 0; limb < 5; ++limb) {
    const uint64_t limit = uint64_t{1} << (limb < 4 ? 52 : 48);
    ShamirShare share{};
    share[limb] = limit - 1;
    ASSERT_OK_AND_ASSIGN(const SecretBytes largest,
                         ShamirRecovery({3}).Recover(std::vector<ShamirShare>{share}));
    EXPECT_EQ(LimbOf(largest, limb), limit - 1);
    share[limb] = limit;
    EXPECT_THAT(ShamirRecovery({3}).Recover(std::vector<ShamirShare>{share}).status(),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ShamirTest, ElementsOutsideTheFieldAreRefused) {
  for (size_t limb = 0; limb < 5; ++limb) {
    ShamirShare share{};
    share[limb] = kFieldPrime;
    std::vector<uint8_t> bytes(kShareBytes);
    WriteShare(share, bytes);

    EXPECT_THAT(ReadShare(bytes).status(), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(ShamirRecovery({6}).Recover(std::vector<ShamirShare>{share}).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("x = 6")));
    share[limb] = kFieldPrime - 1;
    WriteShare(share, bytes);
    ASSERT_OK_AND_ASSIGN(const ShamirShare read, ReadShare(bytes));
    EXPECT_EQ(read, share);
  }
}

TEST(ShamirTest, SharesOfAnotherSizeAreRefused) {
  for (const size_t size : {size_t{0}, kShareBytes - 1, kShareBytes + 1}) {
    EXPECT_THAT(ReadShare(std::vector<uint8_t>(size)).status(),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace skerry
