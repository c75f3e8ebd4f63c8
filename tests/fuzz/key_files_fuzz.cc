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

// The second word of each line is where a secret stands. A word that is elsewhere in the text as
// well, or short enough to be in a message by chance, proves nothing.
void CheckShowsNoSecret(std::string_view message, std::string_view text) {
  // The path is in the message, and a fuzzer may copy it into the file.
  const std::string paths = fuzz::ScratchFolder() + "/process/nodes.keys";
  constexpr size_t kSecretBytesMin = 24;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const auto words = RosterWords(text.substr(begin, end - begin));
    if (words.size() == 2 && words[1].size() >= kSecretBytesMin &&
        paths.find(words[1]) == std::string::npos &&
        text.find(words[1]) == static_cast<size_t>(words[1].data() - text.data())) {
      SKERRY_ASSERT(message.find(words[1]) == std::string_view::npos);
    }
    begin = end + 1;
  }
}

void CheckKeysAreRefused(const absl::Status& status, std::string_view text) {
  fuzz::CheckRefusal(status);
  CheckShowsNoSecret(std::string_view(status.message().data(), status.message().size()), text);
}

void FuzzCurveKeys(fuzz::Bytes bytes) {
  const std::string path = fuzz::WriteScratch("curve.key", bytes);
  const fuzz::AllocationMeter meter;
  const absl::StatusOr<CurveKeyPair> keys = ReadCurveKeyFile(path);
  fuzz::CheckMemory(meter, bytes.size(), kBound);
  if (!keys.ok()) return CheckKeysAreRefused(keys.status(), fuzz::AsText(bytes));

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
  if (!keys.ok()) return CheckKeysAreRefused(keys.status(), fuzz::AsText(bytes));

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
