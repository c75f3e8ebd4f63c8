// Images and labels in the IDX format, plain and compressed.
//
// Input: a byte of flags (1: compress the images, 2: compress the labels, the rest chooses a loss),
// two bytes with the length of the label file, the label file, the image file. The files may also
// be gzip streams of the fuzzer's own making.
#include <array>

#include <zlib.h>

#include "common/base/status.h"
#include "tests/fuzz/row_checks.h"

namespace skerry {
namespace {

// Deflate's best ratio, which is what the reader allows a compressed file (byte_source.cc).
constexpr size_t kDeflateRatioMax = 1032;
constexpr size_t kFactor = 48;

std::string WritePlainOrGzip(const std::string& name, fuzz::Bytes bytes, bool is_compressed) {
  if (!is_compressed) return fuzz::WriteScratch(name, bytes);
  const std::string path = fuzz::WriteScratch(name, fuzz::Bytes());
  const gzFile file = ::gzopen(path.c_str(), "wb1");
  SKERRY_ASSERT(file != nullptr);
  SKERRY_ASSERT(bytes.empty() ||
                ::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
                    static_cast<int>(bytes.size()));
  SKERRY_ASSERT(::gzclose(file) == Z_OK);
  return path;
}

bool IsGzip(fuzz::Bytes bytes) { return bytes.size() > 1 && bytes[0] == 0x1f && bytes[1] == 0x8b; }

}  // namespace
}  // namespace skerry

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  fuzz::InputReader input({data, size});
  const auto flags = input.Number<uint8_t>();
  const fuzz::Bytes labels = input.Take(input.Number<uint16_t>());
  const fuzz::Bytes images = input.Rest();
  const IdxPaths paths = {.images = WritePlainOrGzip("images", images, (flags & 1) != 0),
                          .labels = WritePlainOrGzip("labels", labels, (flags & 2) != 0)};
  const bool is_gzip = (flags & 3) != 0 || IsGzip(labels) || IsGzip(images);
  const fuzz::AllocationMeter meter;
  const std::optional<fuzz::Rows> rows =
      fuzz::ReadAll(OpenIdx(paths), fuzz::SpecOf(flags >> 2), meter, size,
                    {.factor = is_gzip ? kFactor * kDeflateRatioMax : kFactor, .base = 64 << 10});
  if (!rows.has_value() || is_gzip) return 0;
  // A plain pair is its headers and what was read, nothing left out and nothing made up.
  const size_t image_header =
      4 + 4 * (rows->example_shape.size() == 3 && rows->example_shape[0] == 1
                   ? size_t{images[3]}
                   : rows->example_shape.size() + 1);
  SKERRY_ASSERT(images.size() == image_header + rows->values.size());
  SKERRY_ASSERT(labels.size() == 8 + rows->row_count());
  for (size_t i = 0; i < rows->values.size(); ++i) {
    SKERRY_ASSERT(rows->values[i] == static_cast<float>(images[image_header + i]));
  }
  return 0;
}
