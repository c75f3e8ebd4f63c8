#include "common/crypto/self_test.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <openssl/crypto.h>

#include "common/base/status.h"
#include "common/crypto/hex.h"
#include "common/crypto/key_agreement.h"
#include "common/crypto/key_stream.h"
#include "common/crypto/sealed_box.h"
#include "common/crypto/sha256.h"

namespace skerry {
namespace {

constexpr size_t kBlockBytes = 16;

std::vector<uint8_t> Bytes(std::string_view hex) {
  std::vector<uint8_t> bytes(hex.size() / 2);
  SKERRY_ASSERT(ParseHex(hex, bytes).ok());
  return bytes;
}

struct KnownBlock {
  uint64_t number;
  std::string_view hex;
};

// AES-128 of the block's number under the zero key. 0 to 2: "The Galois/Counter Mode of Operation"
// (McGrew and Viega, 2005), test cases 1 and 2. The others, next to carries of the counter, are
// from `openssl enc -aes-128-ecb`, which knows no counter.
constexpr KnownBlock kKnownBlocks[] = {
    {0, "66e94bd4ef8a2c3b884cfa59ca342b2e"},
    {1, "58e2fccefa7e3061367f1d57a4e7455a"},
    {2, "0388dace60b6a392f328c2b971b2fe78"},
    {0xff, "f70ddef93ba62588242a0e67d0d645e0"},
    {0x1'0000, "e1e223c4cf90cc5d195b370d65114622"},
    {0x1'0000'0000, "72535b7fe0f0f777cedcd55cd77e2ddf"},
};

// Long reads that are compared block by block. Each crosses a carry (out of 8, 16 and 32 bits) and
// is longer than the widest step of any implementation we know (a few dozen blocks at once).
constexpr size_t kLongReadBytes = 200 * kBlockBytes + 7;
constexpr uint64_t kLongReadStarts[] = {
    (0x100 - 100) * kBlockBytes,
    (0x1'0000 - 100) * kBlockBytes + 5,
    (0x1'0000'0000 - 100) * kBlockBytes + 11,
};

absl::Status CheckLongRead(const KeyStreamReader& read, uint64_t start) {
  std::array<uint8_t, kLongReadBytes> stream;
  read(start, stream);
  size_t done = 0;
  while (done < stream.size()) {
    // Up to the end of the block, so that each comparison needs one block alone.
    const size_t size =
        std::min<size_t>(kBlockBytes - (start + done) % kBlockBytes, stream.size() - done);
    std::array<uint8_t, kBlockBytes> block;
    read(start + done, std::span(block).first(size));
    if (!std::equal(block.begin(), block.begin() + static_cast<ptrdiff_t>(size),
                    stream.begin() + static_cast<ptrdiff_t>(done))) {
      return absl::InternalError(
          fmt::format("AES-128-CTR: byte {} read at once from {} on is not that read alone",
                      start + done, start));
    }
    done += size;
  }
  return absl::OkStatus();
}

// Case 16 of McGrew and Viega.
absl::Status CheckSealedBox() {
  const auto key = Bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const auto nonce = Bytes("cafebabefacedbaddecaf888");
  const auto associated = Bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const auto plain = Bytes(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
  auto sealed = Bytes(
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
      "76fc6ece0f4e1768cddf8853bb2d551b");
  const SealInput input{key, nonce, associated};
  if (Seal(input, plain) != sealed) {
    return absl::InternalError("AES-256-GCM: a published message is sealed differently");
  }
  const auto opened = OpenSealed(input, sealed);
  if (!opened.ok() || !std::ranges::equal(opened->bytes(), plain)) {
    return absl::InternalError("AES-256-GCM: a published message does not open");
  }
  sealed.back() ^= 1;
  if (OpenSealed(input, sealed).ok()) {
    return absl::InternalError("AES-256-GCM: a forged message opens");
  }
  return absl::OkStatus();
}

// RFC 7748, section 6.1.
absl::Status CheckKeyAgreement() {
  const auto alice = AgreementKeyPair::FromSecret(SecretBytes::CopyOf(
      Bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")));
  const auto bob = AgreementKeyPair::FromSecret(SecretBytes::CopyOf(
      Bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")));
  const auto shared = Agree(alice.secret(), bob.public_key());
  if (HexOf(alice.public_key()) !=
          "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a" ||
      HexOf(bob.public_key()) !=
          "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f" ||
      !shared.ok() ||
      HexOf(shared->bytes()) !=
          "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742") {
    return absl::InternalError("X25519: the agreement of RFC 7748 is another");
  }
  return absl::OkStatus();
}

// FIPS 180-4's examples of one and of two blocks.
absl::Status CheckSha256() {
  if (HexOf(Sha256Of("abc")) !=
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" ||
      HexOf(Sha256Of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) !=
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1") {
    return absl::InternalError("SHA-256: a published digest is another");
  }
  return absl::OkStatus();
}

absl::Status RunAll() {
  const std::array<uint8_t, KeyStream::kKeyBytes> zero_key{};
  KeyStream stream(zero_key);
  SKERRY_RETURN_IF_ERROR(CheckKeyStream(
      [&](uint64_t position, std::span<uint8_t> out) { stream.Read(position, out); }));
  SKERRY_RETURN_IF_ERROR(CheckSealedBox());
  SKERRY_RETURN_IF_ERROR(CheckKeyAgreement());
  return CheckSha256();
}

}  // namespace

absl::Status CheckKeyStream(const KeyStreamReader& read) {
  for (const KnownBlock& known : kKnownBlocks) {
    std::array<uint8_t, kBlockBytes> block;
    read(known.number * kBlockBytes, block);
    if (HexOf(block) != known.hex) {
      return absl::InternalError(
          fmt::format("AES-128-CTR: block {} of the zero key is {}, expected {}", known.number,
                      HexOf(block), known.hex));
    }
  }
  for (const uint64_t start : kLongReadStarts) {
    SKERRY_RETURN_IF_ERROR(CheckLongRead(read, start));
  }
  return absl::OkStatus();
}

absl::Status SelfTestCrypto() {
  return Annotate(RunAll(), fmt::format("the cryptography of {} fails its self-test; use another "
                                        "build of it, nothing may run on this one",
                                        OpenSSL_version(OPENSSL_VERSION)));
}

}  // namespace skerry
