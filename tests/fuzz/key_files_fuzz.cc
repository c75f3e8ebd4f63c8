// Key files. Keys that are read are written and read equal, and no refusal shows what stood where a
// key should be.
//
// Input: a byte that chooses the file (a CURVE key pair, a public key, the keys of a process's
// nodes), then its content.
#include <filesystem>

#include "common/base/status.h"
#include "common/crypto/sha256.h"
#include "common/identity/key_files.h"
#include "common/identity/roster.h"
#include "common/identity/z85.h"
#include "tests/fuzz/fuzz_support.h"

namespace skerry {
namespace {

constexpr fuzz::MemoryBound kBound = {.factor = 64, .base = 256 << 10};

CurveKeyPair SomeKeys() {
  const Sha256Digest digest = Sha256Of(std::string_view("a key pair of the tests"));
  SecretBytes secret(CurveKeyPair::kSecretBytes);
  std::copy(digest.begin(), digest.end(), secret.mutable_bytes().begin());
  return CurveKeyPair::FromSecret(std::move(secret));
}

std::string FreshFolder(const std::string& name) {
  const std::string folder = fuzz::ScratchFolder() + "/" + name;
  std::filesystem::remove_all(folder);
  return folder;
}

bool Contains(const absl::Status& status, std::string_view word) {
  return std::string_view(status.message().data(), status.message().size()).find(word) !=
         std::string_view::npos;
}

// Another word of the same length.
std::string Altered(std::string word) {
  for (char& c : word) {
    if (c >= '!' && c <= '~') c = c == '~' ? '!' : static_cast<char>(c + 1);
  }
  return word;
}

// The second word of each line is where a secret stands. A fuzzer also writes there what messages
// say anyway, a path or a word of ours; only a message that follows when the word is altered shows
// what the file holds. `read` reads a file with another text.
template <typename Read>
void CheckKeysAreRefused(const absl::Status& status, std::string_view text, const Read& read) {
  fuzz::CheckRefusal(status);
  constexpr size_t kSecretBytesMin = 24;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const auto words = RosterWords(text.substr(begin, end - begin));
    begin = end + 1;
    if (words.size() != 2 || words[1].size() < kSecretBytesMin) continue;
    const std::string altered = Altered(std::string(words[1]));
    if (altered == words[1] || !Contains(status, words[1])) continue;
    std::string other(text);
    other.replace(static_cast<size_t>(words[1].data() - text.data()), altered.size(), altered);
    SKERRY_ASSERT(!Contains(read(other), altered));
  }
}

void FuzzCurveKeys(fuzz::Bytes bytes) {
  const std::string path = fuzz::WriteScratch("curve.key", bytes);
  const fuzz::AllocationMeter meter;
  const absl::StatusOr<CurveKeyPair> keys = ReadCurveKeyFile(path);
  fuzz::CheckMemory(meter, bytes.size(), kBound);
  if (!keys.ok()) {
    return CheckKeysAreRefused(keys.status(), fuzz::AsText(bytes), [](std::string_view text) {
      return ReadCurveKeyFile(fuzz::WriteScratch("curve.key", text)).status();
    });
  }

  const std::string folder = FreshFolder("coordinator");
  SKERRY_ASSERT(WriteCoordinatorKeys(folder, *keys).ok());
  const absl::StatusOr<CurveKeyPair> again = ReadCurveKeyFile(CoordinatorKeyPath(folder));
  SKERRY_ASSERT(again.ok() && again->public_key() == keys->public_key());
}

void FuzzPublicKey(fuzz::Bytes bytes) {
  const std::string path = fuzz::WriteScratch("coordinator.pub", bytes);
  const fuzz::AllocationMeter meter;
  const absl::StatusOr<CurvePublicKey> key = ReadCurvePublicFile(path);
  fuzz::CheckMemory(meter, bytes.size(), kBound);
  if (!key.ok()) return fuzz::CheckRefusal(key.status());
  const absl::StatusOr<CurvePublicKey> again =
      ReadCurvePublicFile(fuzz::WriteScratch("again.pub", Z85Encode(key->bytes())));
  SKERRY_ASSERT(again.ok() && *again == *key);
}

void FuzzNodeKeys(fuzz::Bytes bytes) {
  static const std::string folder = [] {
    std::string path = FreshFolder("process");
    SKERRY_ASSERT(WriteProcessKeys(path, ProcessName("p"), {SomeKeys(), {}}).ok());
    return path;
  }();
  fuzz::WriteScratch("process/nodes.keys", bytes);
  const fuzz::AllocationMeter meter;
  const absl::StatusOr<ProcessKeys> keys = ReadProcessKeys(folder);
  fuzz::CheckMemory(meter, bytes.size(), kBound);
  if (!keys.ok()) {
    return CheckKeysAreRefused(keys.status(), fuzz::AsText(bytes), [](std::string_view text) {
      fuzz::WriteScratch("process/nodes.keys", text);
      return ReadProcessKeys(folder).status();
    });
  }

  const std::string copy = FreshFolder("copy");
  SKERRY_ASSERT(WriteProcessKeys(copy, ProcessName("p"), *keys).ok());
  const absl::StatusOr<ProcessKeys> again = ReadProcessKeys(copy);
  SKERRY_ASSERT(again.ok() && again->nodes.size() == keys->nodes.size());
  SKERRY_ASSERT(RosterPart(ProcessName("p"), *again) == RosterPart(ProcessName("p"), *keys));
}

}  // namespace
}  // namespace skerry

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  fuzz::InputReader input({data, size});
  switch (input.Number<uint8_t>() % 3) {
    case 0:
      FuzzCurveKeys(input.Rest());
      break;
    case 1:
      FuzzPublicKey(input.Rest());
      break;
    default:
      FuzzNodeKeys(input.Rest());
  }
  return 0;
}
