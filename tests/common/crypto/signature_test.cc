#include "common/crypto/signature.h"

#include "common/crypto/hex.h"
#include "tests/support/hex_bytes.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

struct Vector {
  std::string_view seed, public_key, message, signature;
};

// RFC 8032, section 7.1, tests 1 to 3.
constexpr Vector kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "4"
     "6bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d"
     "8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "6"
     "594a7c15e9716ed28dc027beceea1ec40a"},
};

Ed25519SecretKey KeyOf(const Vector& vector) {
  return Ed25519SecretKey::FromSeed(SecretBytes::CopyOf(FromHex(vector.seed)));
}

TEST(Ed25519Test, VectorsOfRfc8032Hold) {
  for (const Vector& vector : kVectors) {
    const Ed25519SecretKey key = KeyOf(vector);
    EXPECT_EQ(key.public_key().hex(), vector.public_key);
    EXPECT_EQ(HexOf(key.Sign(FromHex(vector.message))), vector.signature);
    EXPECT_TRUE(key.public_key().Verify(FromHex(vector.message), FromHex(vector.signature)));
  }
}

TEST(Ed25519Test, AnyFlippedBitIsNoticed) {
  const Vector& vector = kVectors[2];
  const auto message = FromHex(vector.message);
  const auto signature = FromHex(vector.signature);
  const Ed25519PublicKey key = KeyOf(vector).public_key();

  for (size_t bit = 0; bit < 8 * message.size(); ++bit) {
    auto changed = message;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(key.Verify(changed, signature)) << bit;
  }
  for (size_t bit = 0; bit < 8 * signature.size(); ++bit) {
    auto changed = signature;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(key.Verify(message, changed)) << bit;
  }
}

TEST(Ed25519Test, MalformedKeysAndSignaturesAreNotValid) {
  const auto message = FromHex(kVectors[1].message);
  auto signature = FromHex(kVectors[1].signature);
  // y = 2 belongs to no point of the curve.
  std::array<uint8_t, 32> no_point{};
  no_point[0] = 2;

  EXPECT_FALSE(Ed25519PublicKey(no_point).Verify(message, signature));
  EXPECT_FALSE(KeyOf(kVectors[1]).public_key().Verify(message, {}));
  signature.push_back(0);
  EXPECT_FALSE(KeyOf(kVectors[1]).public_key().Verify(message, signature));
}

TEST(Ed25519Test, ASignatureOfAnotherKeyIsNotValid) {
  SeededRandom random(1);
  const Ed25519SecretKey mine = Ed25519SecretKey::Generate(random);
  const Ed25519SecretKey other = Ed25519SecretKey::Generate(random);
  const std::vector<uint8_t> message = {1, 2, 3};

  EXPECT_NE(mine.public_key(), other.public_key());
  EXPECT_TRUE(mine.public_key().Verify(message, mine.Sign(message)));
  EXPECT_FALSE(mine.public_key().Verify(message, other.Sign(message)));
}

TEST(Ed25519Test, AGeneratedKeyIsTheDrawnSeed) {
  ScriptedRandom random(FromHex(kVectors[0].seed));
  EXPECT_EQ(Ed25519SecretKey::Generate(random).public_key().hex(), kVectors[0].public_key);
  EXPECT_EQ(random.bytes_left(), 0u);
}

TEST(Ed25519Test, PublicKeysAreReadFromHexOfTheRightLength) {
  ASSERT_OK_AND_ASSIGN(const Ed25519PublicKey key,
                       Ed25519PublicKey::FromHex(kVectors[0].public_key));
  EXPECT_EQ(key, KeyOf(kVectors[0]).public_key());
  EXPECT_THAT(Ed25519PublicKey::FromHex("d75a98"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected 64")));
}

}  // namespace
}  // namespace skerry
