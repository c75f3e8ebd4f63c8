#include <array>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/ml/byte_source.h"
#include "common/ml/row_source.h"

namespace skerry {
namespace {

// http://yann.lecun.com/exdb/mnist: two zero bytes, the element type, the number of dimensions,
// then each dimension as a big-endian 32-bit number, then the elements.
constexpr uint8_t kUnsignedByte = 0x08;
constexpr size_t kDimensionsMax = 4;

struct IdxHeader {
  std::vector<uint32_t> dimensions;
  // Bytes of one row: the product of all dimensions but the first.
  uint64_t row_bytes = 1;
};

absl::StatusOr<IdxHeader> ReadHeader(ByteSource& source) {
  std::array<uint8_t, 4> magic = {};
  SKERRY_RETURN_IF_ERROR(source.ReadExactly(magic.data(), magic.size(), "the IDX magic number"));
  if (magic[0] != 0 || magic[1] != 0 || magic[3] == 0 || magic[3] > kDimensionsMax) {
    return absl::InvalidArgumentError(fmt::format(
        "{} is not an IDX file: it starts with {:02x}{:02x}{:02x}{:02x}, expected 000008 and the "
        "number of dimensions (1 to {})",
        source.path(), magic[0], magic[1], magic[2], magic[3], kDimensionsMax));
  }
  if (magic[2] != kUnsignedByte) {
    return absl::InvalidArgumentError(
        fmt::format("{} holds elements of type 0x{:02x}, only unsigned bytes (0x08) are supported",
                    source.path(), magic[2]));
  }
  IdxHeader header;
  for (uint8_t i = 0; i < magic[3]; ++i) {
    std::array<uint8_t, 4> bytes = {};
    SKERRY_RETURN_IF_ERROR(source.ReadExactly(bytes.data(), bytes.size(), "the IDX header"));
    const uint32_t size = static_cast<uint32_t>(bytes[0]) << 24 |
                          static_cast<uint32_t>(bytes[1]) << 16 |
                          static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
    const uint64_t limit = i == 0 ? kRowCountMax : kExampleSizeMax / header.row_bytes;
    if (size == 0 || size > limit) {
      return absl::InvalidArgumentError(
          fmt::format("{}: dimension {} must be 1 to {}, got {}", source.path(), i, limit, size));
    }
    header.dimensions.push_back(size);
    if (i > 0) header.row_bytes *= size;
  }
  const uint64_t needed =
      4 + 4 * header.dimensions.size() + header.dimensions[0] * header.row_bytes;
  if (needed > source.size_max()) {
    return absl::DataLossError(
        fmt::format("{} is truncated: its header promises {} rows, which need {} bytes; get the "
                    "file again",
                    source.path(), header.dimensions[0], needed));
  }
  return header;
}

class IdxSource : public RowSource {
 public:
  IdxSource(IdxPaths paths, IdxHeader images, ByteSource labels, uint32_t row_count)
      : paths_(std::move(paths)),
        images_(std::move(images)),
        labels_(std::move(labels)),
        row_count_(row_count) {
    for (size_t i = 1; i < images_.dimensions.size(); ++i) shape_.push_back(images_.dimensions[i]);
    // Grey images have one channel.
    if (shape_.size() == 2) shape_.insert(shape_.begin(), 1);
  }

  const std::vector<int64_t>& example_shape() const override { return shape_; }

  absl::StatusOr<LabelledRows> ReadLabels(const LabelSpec& spec) override {
    std::vector<uint8_t> bytes(row_count_);
    SKERRY_RETURN_IF_ERROR(labels_.ReadExactly(bytes.data(), bytes.size(), "the labels"));
    SKERRY_RETURN_IF_ERROR(labels_.ExpectEnd());
    LabelledRows rows{.labels = LabelColumn(spec), .group_of_row = {}, .groups = {}};
    for (size_t row = 0; row < bytes.size(); ++row) {
      const double value = bytes[row];
      if (const absl::Status added = rows.labels.Add({&value, 1}); !added.ok()) {
        return Annotate(added, fmt::format("{}: row {}", paths_.labels, row));
      }
    }
    return rows;
  }

  absl::StatusOr<Features> ReadRows(std::span<const uint32_t> rows) override {
    SKERRY_ASSIGN_OR_RETURN(ByteSource source, ByteSource::Open(paths_.images));
    SKERRY_ASSIGN_OR_RETURN(const IdxHeader header, ReadHeader(source));
    if (header.dimensions != images_.dimensions) {
      return absl::FailedPreconditionError(
          fmt::format("{} changed while it was read", paths_.images));
    }
    const uint64_t row_bytes = header.row_bytes;
    std::vector<uint8_t> pixels(rows.size() * row_bytes);
    uint32_t next_row = 0;
    for (size_t i = 0; i < rows.size();) {
      SKERRY_RETURN_IF_ERROR(source.Skip((rows[i] - next_row) * row_bytes));
      size_t run = 1;  // neighbouring rows are read at once
      while (i + run < rows.size() && rows[i + run] == rows[i] + run) ++run;
      SKERRY_RETURN_IF_ERROR(source.ReadExactly(pixels.data() + i * row_bytes, run * row_bytes,
                                                fmt::format("row {}", rows[i])));
      next_row = rows[i] + static_cast<uint32_t>(run);
      i += run;
    }
    if (next_row < row_count_) {  // the last byte is read, because moving past the end is no error
      uint8_t last = 0;
      SKERRY_RETURN_IF_ERROR(source.Skip((row_count_ - next_row) * row_bytes - 1));
      SKERRY_RETURN_IF_ERROR(source.ReadExactly(&last, 1, "the last row"));
    }
    SKERRY_RETURN_IF_ERROR(source.ExpectEnd());
    return Features(std::move(pixels));
  }

 private:
  IdxPaths paths_;
  IdxHeader images_;
  ByteSource labels_;
  uint32_t row_count_;
  std::vector<int64_t> shape_;
};

// The first of `names` that exists in `folder`, also with .gz after it; empty if none does.
std::string FirstExisting(const std::string& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    for (const char* ending : {"", ".gz"}) {
      std::string path = fmt::format("{}/{}{}", folder, name, ending);
      std::error_code ignored;
      if (std::filesystem::exists(path, ignored)) return path;
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<IdxPaths> FindIdx(const std::string& folder, const std::string& prefix) {
  std::vector<std::string> image_names;
  for (const char* dimensions : {"3", "4", "2"}) {
    for (const char* separator : {"-", "."}) {
      image_names.push_back(fmt::format("{}-images{}idx{}-ubyte", prefix, separator, dimensions));
    }
  }
  const std::vector<std::string> label_names = {fmt::format("{}-labels-idx1-ubyte", prefix),
                                                fmt::format("{}-labels.idx1-ubyte", prefix)};
  IdxPaths paths = {.images = FirstExisting(folder, image_names),
                    .labels = FirstExisting(folder, label_names)};
  for (const auto& [path, name] : {std::pair(paths.images, image_names.front()),
                                   std::pair(paths.labels, label_names.front())}) {
    if (path.empty()) {
      return absl::NotFoundError(fmt::format("{} has no {}[.gz]: check data.path", folder, name));
    }
  }
  return paths;
}

absl::StatusOr<std::unique_ptr<RowSource>> OpenIdx(const IdxPaths& paths) {
  SKERRY_ASSIGN_OR_RETURN(ByteSource images, ByteSource::Open(paths.images));
  SKERRY_ASSIGN_OR_RETURN(IdxHeader image_header, ReadHeader(images));
  if (image_header.dimensions.size() < 2) {
    return absl::InvalidArgumentError(
        fmt::format("{} has one dimension, expected rows of features: are images and labels "
                    "swapped?",
                    paths.images));
  }
  SKERRY_ASSIGN_OR_RETURN(ByteSource labels, ByteSource::Open(paths.labels));
  SKERRY_ASSIGN_OR_RETURN(const IdxHeader label_header, ReadHeader(labels));
  if (label_header.dimensions.size() != 1) {
    return absl::InvalidArgumentError(fmt::format("{} has {} dimensions, expected 1 for labels",
                                                  paths.labels, label_header.dimensions.size()));
  }
  const uint32_t row_count = label_header.dimensions[0];
  if (row_count != image_header.dimensions[0]) {
    return absl::InvalidArgumentError(
        fmt::format("{} has {} rows but {} has {} labels: they do "
                    "not belong together",
                    paths.images, image_header.dimensions[0], paths.labels, row_count));
  }
  return std::make_unique<IdxSource>(paths, std::move(image_header), std::move(labels), row_count);
}

}  // namespace skerry
