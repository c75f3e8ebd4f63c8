// A pair of NumPy arrays. Features that are read are written as float32, with the shape the reader
// saw, and read equal.
//
// Input: a byte that chooses the loss, two bytes with the length of the label file, the label file,
// the feature file.
#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "tests/fuzz/row_checks.h"

namespace skerry {
namespace {

std::string NpyOf(const fuzz::Rows& rows) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
                  rows.row_count(), fmt::join(rows.example_shape, ", "));
  header.resize((10 + header.size()) / 64 * 64 + 53, ' ');
  header += '\n';
  std::string text = "\x93NUMPY\x01";
  text += '\0';
  text += static_cast<char>(header.size() & 0xff);
  text += static_cast<char>(header.size() >> 8);
  text += header;
  return text.append(reinterpret_cast<const char*>(rows.values.data()),
                     rows.values.size() * sizeof(float));
}

bool IsGzip(fuzz::Bytes bytes) { return bytes.size() > 1 && bytes[0] == 0x1f && bytes[1] == 0x8b; }

}  // namespace
}  // namespace skerry

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  fuzz::InputReader input({data, size});
  const LabelSpec spec = fuzz::SpecOf(input.Number<uint8_t>());
  const fuzz::Bytes labels = input.Take(input.Number<uint16_t>());
  const fuzz::Bytes features = input.Rest();
  const NpyPaths paths = {.features = fuzz::WriteScratch("x.npy", features),
                          .labels = fuzz::WriteScratch("y.npy", labels)};
  // Deflate's best ratio, which is what the reader allows a compressed file (byte_source.cc).
  const bool is_gzip = IsGzip(labels) || IsGzip(features);
  const fuzz::MemoryBound bound = {.factor = is_gzip ? 64u * 1032u : 64u, .base = 64 << 10};
  const fuzz::AllocationMeter meter;
  const std::optional<fuzz::Rows> rows = fuzz::ReadAll(OpenNpy(paths), spec, meter, size, bound);
  if (!rows.has_value()) return 0;

  const std::string text = NpyOf(*rows);
  const NpyPaths copies = {.features = fuzz::WriteScratch("copy.npy", text),
                           .labels = paths.labels};
  const fuzz::AllocationMeter second_meter;
  const std::optional<fuzz::Rows> again =
      fuzz::ReadAll(OpenNpy(copies), spec, second_meter, text.size() + size, bound);
  SKERRY_ASSERT(again.has_value());
  fuzz::CheckEqual(*rows, *again);
  SKERRY_ASSERT(again->example_shape == rows->example_shape);
  return 0;
}
