#include "common/crypto/curve_key.h"

#include "common/crypto/hex.h"
#include "tests/support/hex_bytes.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

// RFC 7748, section 6.1.
constexpr std::string_view kAliceSecret =
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
constexpr std::string_view kAlicePublic =
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
constexpr std::string_view kBobSecret =
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
constexpr std::string_view kBobPublic =
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";

TEST(CurveKeyTest, KeyPairsOfRfc7748Hold) {
  const auto alice = CurveKeyPair::FromSecret(SecretBytes::CopyOf(FromHex(kAliceSecret)));
  const auto bob = CurveKeyPair::FromSecret(SecretBytes::CopyOf(FromHex(kBobSecret)));
  EXPECT_EQ(HexOf(alice.public_key().bytes()), kAlicePublic);
  EXPECT_EQ(HexOf(bob.public_key().bytes()), kBobPublic);
}

TEST(CurveKeyTest, AGeneratedSecretIsTheDrawnBytesUnchanged) {
  ScriptedRandom random(FromHex(kAliceSecret));
  const CurveKeyPair pair = CurveKeyPair::Generate(random);
  EXPECT_EQ(HexOf(pair.secret().bytes()), kAliceSecret);
  EXPECT_EQ(HexOf(pair.public_key().bytes()), kAlicePublic);
}

}  // namespace
}  // namespace skerry
