#include "common/crypto/key_agreement.h"

#include <type_traits>

#include "common/crypto/hex.h"
#include "tests/support/hex_bytes.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

SecretBytes SecretOf(std::string_view hex) { return SecretBytes::CopyOf(FromHex(hex)); }

AgreementPublicKey PublicOf(std::string_view hex) {
  AgreementPublicKey key;
  EXPECT_OK(ParseHex(hex, key));
  return key;
}

// RFC 7748, section 6.1.
constexpr std::string_view kAliceSecret =
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
constexpr std::string_view kAlicePublic =
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
constexpr std::string_view kBobSecret =
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
constexpr std::string_view kBobPublic =
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
constexpr std::string_view kAliceAndBob =
    "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";

TEST(KeyAgreementTest, BothSidesOfRfc7748ComputeItsSharedSecret) {
  const auto alice = AgreementKeyPair::FromSecret(SecretOf(kAliceSecret));
  const auto bob = AgreementKeyPair::FromSecret(SecretOf(kBobSecret));
  ASSERT_EQ(HexOf(alice.public_key()), kAlicePublic);
  ASSERT_EQ(HexOf(bob.public_key()), kBobPublic);

  ASSERT_OK_AND_ASSIGN(const SecretBytes from_alice, Agree(alice.secret(), bob.public_key()));
  ASSERT_OK_AND_ASSIGN(const SecretBytes from_bob, Agree(bob.secret(), alice.public_key()));

  EXPECT_EQ(HexOf(from_alice.bytes()), kAliceAndBob);
  EXPECT_EQ(HexOf(from_bob.bytes()), kAliceAndBob);
}

// RFC 7748, section 5.2. The second point has its highest bit set, which is ignored.
TEST(KeyAgreementTest, ScalarMultiplicationsOfRfc7748Hold) {
  ASSERT_OK_AND_ASSIGN(
      const SecretBytes first,
      Agree(SecretOf("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
            PublicOf("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")));
  ASSERT_OK_AND_ASSIGN(
      const SecretBytes second,
      Agree(SecretOf("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
            PublicOf("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")));

  EXPECT_EQ(HexOf(first.bytes()),
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  EXPECT_EQ(HexOf(second.bytes()),
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(KeyAgreementTest, OneThousandIterationsOfRfc7748Hold) {
  AgreementPublicKey point = {9};
  SecretBytes scalar = SecretBytes::CopyOf(point);
  for (int i = 1; i <= 1000; ++i) {
    ASSERT_OK_AND_ASSIGN(SecretBytes result, Agree(scalar, point));
    std::copy_n(scalar.bytes().begin(), point.size(), point.begin());
    scalar = std::move(result);
    if (i == 1) {
      ASSERT_EQ(HexOf(scalar.bytes()),
                "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  EXPECT_EQ(HexOf(scalar.bytes()),
            "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

// 0, 1, the two points of order 8, and p - 1, p, p + 1 for p = 2^255 - 19: every point of small
// order, and those that are the same modulo p.
TEST(KeyAgreementTest, PointsOfSmallOrderAreRefused) {
  for (const std::string_view point :
       {"0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    EXPECT_THAT(Agree(SecretOf(kAliceSecret), PublicOf(point)).status(),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << point;
  }
}

TEST(KeyAgreementTest, ARefusalLeavesTheNextAgreementIntact) {
  ASSERT_FALSE(Agree(SecretOf(kAliceSecret), AgreementPublicKey{}).ok());

  ASSERT_OK_AND_ASSIGN(const SecretBytes shared,
                       Agree(SecretOf(kAliceSecret), PublicOf(kBobPublic)));

  EXPECT_EQ(HexOf(shared.bytes()), kAliceAndBob);
}

TEST(KeyAgreementTest, AGeneratedSecretIsTheDrawnBytesUnchanged) {
  ScriptedRandom random(FromHex(kAliceSecret));

  const AgreementKeyPair pair = AgreementKeyPair::Generate(random);

  EXPECT_EQ(HexOf(pair.secret().bytes()), kAliceSecret);
  EXPECT_EQ(HexOf(pair.public_key()), kAlicePublic);
}

TEST(KeyAgreementTest, APairMovesAndIsNeverCopied) {
  static_assert(!std::is_copy_constructible_v<AgreementKeyPair>);
  AgreementKeyPair first = AgreementKeyPair::FromSecret(SecretOf(kAliceSecret));

  const AgreementKeyPair second = std::move(first);

  EXPECT_EQ(HexOf(second.secret().bytes()), kAliceSecret);
  EXPECT_EQ(HexOf(second.public_key()), kAlicePublic);
}

}  // namespace
}  // namespace skerry
