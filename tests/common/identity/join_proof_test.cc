#include "common/identity/join_proof.h"

#include "common/crypto/hex.h"
#include "tests/support/hex_bytes.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

const std::vector<uint8_t> kNonce(32, 0x11);

JoinClaim Claim() {
  return {.nonce = kNonce,
          .run_id = RunId("000102030405060708090a0b0c0d0e0f"),
          .version = 1,
          .node = NodeId("node-7"),
          .process = ProcessName("site-a")};
}

Ed25519SecretKey Key() {
  return Ed25519SecretKey::FromSeed(SecretBytes::CopyOf(std::vector<uint8_t>(32, 0x42)));
}

// The bytes as another language would build them, written out here; signed with the same key.
TEST(JoinProofTest, TheSignedBytesAreThoseOfTheDescription) {
  const auto field = [](std::string_view label, std::string_view value_hex) {
    const auto length = [](size_t size) {
      return HexOf(std::vector<uint8_t>{static_cast<uint8_t>(size)}) + "00000000000000";
    };
    return length(label.size()) +
           HexOf({reinterpret_cast<const uint8_t*>(label.data()), label.size()}) +
           length(value_hex.size() / 2) + std::string(value_hex);
  };
  const auto text = [](std::string_view value) {
    return HexOf({reinterpret_cast<const uint8_t*>(value.data()), value.size()});
  };
  const std::string signed_hex =
      field("purpose", text("skerry-join-v1")) +
      field("nonce", "1111111111111111111111111111111111111111111111111111111111111111") +
      field("run_id", text("000102030405060708090a0b0c0d0e0f")) +
      field("version", "0100000000000000") + field("node", text("node-7")) +
      field("process", text("site-a"));

  EXPECT_EQ(SignJoin(Claim(), Key()), Key().Sign(FromHex(signed_hex)));
  EXPECT_TRUE(IsValidJoin(Claim(), Key().public_key(), SignJoin(Claim(), Key())));
}

TEST(JoinProofTest, AProofIsWorthNothingForAnythingElse) {
  const Ed25519Signature proof = SignJoin(Claim(), Key());
  const std::vector<uint8_t> other_nonce(32, 0x12);
  std::vector<JoinClaim> others(5, Claim());
  others[0].nonce = other_nonce;
  others[1].run_id = RunId("100102030405060708090a0b0c0d0e0f");
  others[2].version = 2;
  others[3].node = NodeId("node-8");
  others[4].process = ProcessName("site-b");
  for (size_t i = 0; i < others.size(); ++i) {
    EXPECT_FALSE(IsValidJoin(others[i], Key().public_key(), proof)) << i;
  }
}

TEST(JoinProofTest, SignaturesOfAnotherKeyOrLengthAreRefused) {
  const auto other =
      Ed25519SecretKey::FromSeed(SecretBytes::CopyOf(std::vector<uint8_t>(32, 0x43)));
  const Ed25519Signature proof = SignJoin(Claim(), Key());
  EXPECT_FALSE(IsValidJoin(Claim(), other.public_key(), proof));
  EXPECT_FALSE(IsValidJoin(Claim(), Key().public_key(), {}));
  EXPECT_FALSE(IsValidJoin(Claim(), Key().public_key(), std::span(proof).first(63)));
}

}  // namespace
}  // namespace skerry
