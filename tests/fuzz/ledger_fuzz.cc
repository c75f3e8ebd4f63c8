// The site's privacy ledger. Damage is refused and leaves the file as it is; what opens is a prefix
// of the file, takes another charge and opens again with one charge more.
//
// Input: a byte, then the file. If the byte is odd, each line is the beginning of a charge, in
// which PREV stands for the last line's hash, and gets the hash that it should have: no fuzzer
// finds one.
#include "common/base/status.h"
#include "common/crypto/hex.h"
#include "common/crypto/sha256.h"
#include "common/privacy/ledger.h"
#include "tests/fuzz/fuzz_support.h"

namespace skerry {
namespace {

std::string WithHashes(std::string_view text) {
  constexpr std::string_view kPlaceholder = "PREV";
  std::string result;
  std::string head(64, '0');
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string line(text.substr(0, end));
    if (const size_t at = line.find(kPlaceholder); at != std::string::npos) {
      line.replace(at, kPlaceholder.size(), head);
    }
    if (end == std::string_view::npos) return result + line;  // an unfinished line
    head = HexOf(Sha256Of(std::string_view(line)));
    result += line + ",\"sha256\":\"" + head + "\"}\n";
    text.remove_prefix(end + 1);
  }
  return result;
}

Charge NewCharge() {
  return {.data_id = "not in any input",
          .node = NodeId("n"),
          .run = RunId(std::string(32, 'f')),
          .release = {.round = RoundId(1), .attempt = AttemptId(1)},
          .unit = PrivacyUnit::kClient,
          .event = {.noise_multiplier = 1.5, .sampling = Sampling::Poisson(0.25), .steps = 7}};
}

absl::StatusOr<Ledger> Open(const std::string& path) {
  return Ledger::Open(path, [](int) { return 0; });
}

}  // namespace
}  // namespace skerry

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  fuzz::InputReader input({data, size});
  const bool has_hashes = input.Number<uint8_t>() % 2 == 0;
  const std::string_view body = fuzz::AsText(input.Rest());
  const std::string text = has_hashes ? std::string(body) : WithHashes(body);
  const std::string path = fuzz::WriteScratch("ledger.jsonl", text);
  size_t charge_count = 0;
  {
    const fuzz::AllocationMeter meter;
    absl::StatusOr<Ledger> ledger = Open(path);
    // A line of at most 4 kB is a tree of JSON values for a while. A block of 1 MiB is read.
    fuzz::CheckMemory(meter, text.size(), {.factor = 32, .base = 3 << 20});
    const std::string left = fuzz::ReadScratch(path);
    if (!ledger.ok()) {
      fuzz::CheckRefusal(ledger.status());
      SKERRY_ASSERT(left == text);
      return 0;
    }
    SKERRY_ASSERT(text.starts_with(left) && (left.empty() || left.ends_with('\n')));
    SKERRY_ASSERT((left == text) == ledger->warning().empty());
    charge_count = ledger->spending().charge_count();
    SKERRY_ASSERT(ledger->Append(std::vector{NewCharge()}, 1).ok());
  }

  const absl::StatusOr<Ledger> again = Open(path);
  SKERRY_ASSERT(again.ok() && again->warning().empty());
  SKERRY_ASSERT(again->spending().charge_count() == charge_count + 1);
  SKERRY_ASSERT(again->spending().Has(NewCharge()));
  return 0;
}
