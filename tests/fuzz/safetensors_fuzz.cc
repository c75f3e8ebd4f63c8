// Model files. What is read is written and read again, bit for bit, with and without its layout;
// the header's numbers take no memory that the file does not have bytes for.
#include <cstring>

#include "common/base/status.h"
#include "common/tensor/safetensors.h"
#include "tests/fuzz/fuzz_support.h"

namespace skerry {
namespace {

// Compared as bits: a file may hold NaN.
void CheckEqual(const SafetensorsFile& a, const SafetensorsFile& b) {
  SKERRY_ASSERT(*a.parameters.layout() == *b.parameters.layout());
  SKERRY_ASSERT(a.metadata == b.metadata);
  const auto left = a.parameters.values();
  const auto right = b.parameters.values();
  SKERRY_ASSERT(left.size() == right.size());
  SKERRY_ASSERT(left.empty() || std::memcmp(left.data(), right.data(), left.size_bytes()) == 0);
}

}  // namespace
}  // namespace skerry

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const std::string path = fuzz::WriteScratch("in.safetensors", fuzz::Bytes(data, size));
  const fuzz::AllocationMeter meter;
  const absl::StatusOr<SafetensorsFile> file = ReadSafetensors(path);
  // A header is a tree of JSON values for a while: "[]," is three bytes there and a vector here.
  fuzz::CheckMemory(meter, size, {.factor = 128, .base = 64 << 10});
  if (!file.ok()) {
    fuzz::CheckRefusal(file.status(), 4096 + size);  // names of tensors are in it
    return 0;
  }
  SKERRY_ASSERT(file->parameters.size() * sizeof(float) <= size);

  const std::string copy = fuzz::ScratchFolder() + "/out.safetensors";
  SKERRY_ASSERT(WriteSafetensors(copy, file->parameters, file->metadata).ok());
  const absl::StatusOr<SafetensorsFile> again = ReadSafetensors(copy);
  SKERRY_ASSERT(again.ok());
  CheckEqual(*file, *again);
  const absl::StatusOr<SafetensorsFile> by_layout =
      ReadSafetensors(path, file->parameters.layout());
  SKERRY_ASSERT(by_layout.ok());
  CheckEqual(*file, *by_layout);
  return 0;
}
