#include "common/crypto/sealed_box.h"

#include <string>

#include "common/crypto/hex.h"
#include "tests/support/hex_bytes.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

struct Vector {
  const char* name;
  const char* key;
  const char* nonce;
  const char* associated;
  const char* plain;
  const char* sealed;  // ciphertext, then tag
};

// The test cases with a 256-bit key and a 96-bit nonce of "The Galois/Counter Mode of Operation
// (GCM)" (McGrew and Viega, 2005), appendix B.
constexpr Vector kVectors[] = {
    {"case 13", "0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"case 14", "0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18"
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {"case 15", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"case 16", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

// A message of case 16 in pieces that a test may spoil.
struct Message {
  std::vector<uint8_t> key = FromHex(kVectors[3].key);
  std::vector<uint8_t> nonce = FromHex(kVectors[3].nonce);
  std::vector<uint8_t> associated = FromHex(kVectors[3].associated);
  std::vector<uint8_t> sealed = FromHex(kVectors[3].sealed);

  absl::Status Open() const { return OpenSealed({key, nonce, associated}, sealed).status(); }
};

TEST(SealedBoxTest, PublishedVectorsHoldInBothDirections) {
  for (const Vector& vector : kVectors) {
    const auto key = FromHex(vector.key);
    const auto nonce = FromHex(vector.nonce);
    const auto associated = FromHex(vector.associated);
    const SealInput input{key, nonce, associated};

    EXPECT_EQ(HexOf(Seal(input, FromHex(vector.plain))), vector.sealed) << vector.name;
    const auto opened = OpenSealed(input, FromHex(vector.sealed));

    ASSERT_OK(opened.status()) << vector.name;
    EXPECT_EQ(HexOf(opened->bytes()), vector.plain) << vector.name;
  }
}

TEST(SealedBoxTest, EverySingleFlippedBitIsNoticed) {
  ASSERT_OK(Message().Open());
  for (auto piece : {&Message::key, &Message::nonce, &Message::associated, &Message::sealed}) {
    for (size_t bit = 0; bit < (Message().*piece).size() * 8; ++bit) {
      Message message;
      (message.*piece)[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));

      EXPECT_THAT(message.Open(), StatusIs(absl::StatusCode::kUnauthenticated)) << "bit " << bit;
    }
  }
}

TEST(SealedBoxTest, TruncatedAndExtendedMessagesAreRefused) {
  for (size_t size = 0; size < Message().sealed.size(); ++size) {
    Message message;
    message.sealed.resize(size);
    EXPECT_THAT(message.Open(), StatusIs(absl::StatusCode::kUnauthenticated)) << size;
  }
  Message extended;
  extended.sealed.push_back(0);
  EXPECT_THAT(extended.Open(), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(SealedBoxTest, BytesMovedBetweenTextAndAssociatedDataAreNoticed) {
  Message message;
  message.associated.push_back(message.sealed.front());
  message.sealed.erase(message.sealed.begin());

  EXPECT_THAT(message.Open(), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(SealedBoxTest, AnEmptyTextIsStillAuthenticated) {
  const Message parts;
  const std::vector<uint8_t> sealed = Seal({parts.key, parts.nonce, parts.associated}, {});
  ASSERT_EQ(sealed.size(), kSealTagBytes);

  ASSERT_OK_AND_ASSIGN(const SecretBytes opened,
                       OpenSealed({parts.key, parts.nonce, parts.associated}, sealed));

  EXPECT_EQ(opened.size(), 0u);
  EXPECT_THAT(OpenSealed({parts.key, parts.nonce, {}}, sealed).status(),
              StatusIs(absl::StatusCode::kUnauthenticated));
}

}  // namespace
}  // namespace skerry
