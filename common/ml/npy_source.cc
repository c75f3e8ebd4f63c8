#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/ml/byte_source.h"
#include "common/ml/row_source.h"

namespace skerry {
namespace {

// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kHeaderBytesMax = 1 << 20;
constexpr size_t kDimensionsMax = 8;

enum class Element { kFloat32, kFloat64, kUint8, kInt32, kInt64 };

struct ElementWord {
  std::string_view text;
  Element element;
  size_t bytes;
};
constexpr std::array<ElementWord, 6> kElements = {{{"<f4", Element::kFloat32, 4},
                                                   {"<f8", Element::kFloat64, 8},
                                                   {"|u1", Element::kUint8, 1},
                                                   {"<u1", Element::kUint8, 1},
                                                   {"<i4", Element::kInt32, 4},
                                                   {"<i8", Element::kInt64, 8}}};

struct NpyHeader {
  ElementWord element;
  std::vector<uint64_t> shape;
  uint64_t row_size = 1;  // elements of one row
};

double ValueAt(const uint8_t* from, Element element) {
  switch (element) {
    case Element::kFloat32:
      return LoadLittleEndian<float>(from);
    case Element::kFloat64:
      return LoadLittleEndian<double>(from);
    case Element::kUint8:
      return *from;
    case Element::kInt32:
      return LoadLittleEndian<int32_t>(from);
    case Element::kInt64:
      return static_cast<double>(LoadLittleEndian<int64_t>(from));
  }
  return 0;
}

// What follows `'key':` in the header, a Python dictionary; empty if the key is missing.
std::string_view After(std::string_view header, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string wanted = fmt::format("{}{}{}", quote, key, quote);
    size_t at = header.find(wanted);
    if (at == std::string_view::npos) continue;
    at = header.find_first_not_of(" :", at + wanted.size());
    return at == std::string_view::npos ? std::string_view() : header.substr(at);
  }
  return {};
}

std::optional<std::vector<uint64_t>> ParseShape(std::string_view text) {
  if (!text.starts_with('(')) return std::nullopt;
  text.remove_prefix(1);
  std::vector<uint64_t> shape;
  for (;;) {
    const size_t begin = text.find_first_not_of(" ,");
    if (begin == std::string_view::npos) return std::nullopt;
    text.remove_prefix(begin);
    if (text.front() == ')') return shape;
    uint64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || shape.size() == kDimensionsMax) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    shape.push_back(size);
  }
}

absl::StatusOr<std::string> ReadHeaderText(ByteSource& source) {
  std::array<char, 8> start = {};
  SKERRY_RETURN_IF_ERROR(source.ReadExactly(start.data(), start.size(), "the NPY magic"));
  if (std::string_view(start.data(), kMagic.size()) != kMagic) {
    return absl::InvalidArgumentError(
        fmt::format("{} is not an NPY file: write it with numpy.save", source.path()));
  }
  const int version = static_cast<uint8_t>(start[6]);
  if (version < 1 || version > 3) {
    return absl::InvalidArgumentError(
        fmt::format("{} is NPY version {}, versions 1 to 3 are read", source.path(), version));
  }
  std::array<uint8_t, 4> length_bytes = {};
  SKERRY_RETURN_IF_ERROR(
      source.ReadExactly(length_bytes.data(), version == 1 ? 2 : 4, "the NPY header length"));
  const auto length = LoadLittleEndian<uint32_t>(length_bytes.data());
  if (length > std::min<uint64_t>(kHeaderBytesMax, source.size_max())) {
    return absl::InvalidArgumentError(
        fmt::format("{}: header length {} exceeds the file or the limit of {}", source.path(),
                    length, kHeaderBytesMax));
  }
  std::string header(length, '\0');
  SKERRY_RETURN_IF_ERROR(source.ReadExactly(header.data(), length, "the NPY header"));
  return header;
}

absl::StatusOr<NpyHeader> ReadHeader(ByteSource& source) {
  SKERRY_ASSIGN_OR_RETURN(const std::string text, ReadHeaderText(source));
  const auto bad = [&](std::string_view what) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", source.path(), what));
  };
  NpyHeader header = {};
  std::string_view descr = After(text, "descr");
  if (descr.size() < 5) return bad("the NPY header has no descr");
  descr = descr.substr(1, 3);  // without the quote
  for (const ElementWord& element : kElements) {
    if (descr == element.text) header.element = element;
  }
  if (header.element.bytes == 0) {
    return bad(
        fmt::format("elements of type {} are not read; save float32, float64, uint8, int32 "
                    "or int64, little-endian",
                    descr));
  }
  if (!After(text, "fortran_order").starts_with("False")) {
    return bad("the array is not in C order: save numpy.ascontiguousarray(x)");
  }
  const std::optional<std::vector<uint64_t>> shape = ParseShape(After(text, "shape"));
  if (!shape.has_value() || shape->empty()) return bad("the NPY header has no shape with rows");
  header.shape = *shape;
  for (size_t i = 0; i < shape->size(); ++i) {
    const uint64_t limit = i == 0 ? kRowCountMax : kExampleSizeMax / header.row_size;
    if ((*shape)[i] == 0 || (*shape)[i] > limit) {
      return bad(fmt::format("dimension {} must be 1 to {}, got {}", i, limit, (*shape)[i]));
    }
    if (i > 0) header.row_size *= (*shape)[i];
  }
  if ((*shape)[0] * header.row_size * header.element.bytes > source.size_max()) {
    return absl::DataLossError(
        fmt::format("{} is truncated: its header promises {} rows; get it "
                    "again",
                    source.path(), (*shape)[0]));
  }
  return header;
}

// A file whose header has been read and whose rows follow.
struct NpyArray {
  ByteSource source;
  NpyHeader header;

  static absl::StatusOr<NpyArray> Open(const std::string& path) {
    SKERRY_ASSIGN_OR_RETURN(ByteSource source, ByteSource::Open(path));
    SKERRY_ASSIGN_OR_RETURN(NpyHeader header, ReadHeader(source));
    return NpyArray{std::move(source), std::move(header)};
  }
};

class NpySource : public RowSource {
 public:
  NpySource(NpyPaths paths, NpyHeader features, NpyArray labels)
      : paths_(std::move(paths)), features_(std::move(features)), labels_(std::move(labels)) {
    for (size_t i = 1; i < features_.shape.size(); ++i) {
      shape_.push_back(static_cast<int64_t>(features_.shape[i]));
    }
    if (shape_.empty()) shape_.push_back(1);
  }

  const std::vector<int64_t>& example_shape() const override { return shape_; }

  absl::StatusOr<LabelledRows> ReadLabels(const LabelSpec& spec) override {
    const NpyHeader& header = labels_.header;
    LabelledRows rows{.labels = LabelColumn(spec), .group_of_row = {}, .groups = {}};
    std::vector<uint8_t> bytes(header.row_size * header.element.bytes);
    std::vector<double> values(header.row_size);
    for (uint64_t row = 0; row < header.shape[0]; ++row) {
      SKERRY_RETURN_IF_ERROR(
          labels_.source.ReadExactly(bytes.data(), bytes.size(), fmt::format("row {}", row)));
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = ValueAt(bytes.data() + i * header.element.bytes, header.element.element);
      }
      if (const absl::Status added = rows.labels.Add(values); !added.ok()) {
        return Annotate(added, fmt::format("{}: row {}", paths_.labels, row));
      }
    }
    SKERRY_RETURN_IF_ERROR(labels_.source.ExpectEnd());
    return rows;
  }

  absl::StatusOr<Features> ReadRows(std::span<const uint32_t> rows) override {
    SKERRY_ASSIGN_OR_RETURN(NpyArray array, NpyArray::Open(paths_.features));
    const NpyHeader& header = array.header;
    if (header.shape != features_.shape || header.element.element != features_.element.element) {
      return absl::FailedPreconditionError(
          fmt::format("{} changed while it was read", paths_.features));
    }
    const uint64_t row_bytes = header.row_size * header.element.bytes;
    std::vector<uint8_t> bytes(row_bytes);
    std::vector<float> values;
    values.reserve(rows.size() * header.row_size);
    uint64_t next_row = 0;
    for (const uint32_t row : rows) {
      SKERRY_RETURN_IF_ERROR(array.source.Skip((row - next_row) * row_bytes));
      SKERRY_RETURN_IF_ERROR(
          array.source.ReadExactly(bytes.data(), bytes.size(), fmt::format("row {}", row)));
      next_row = uint64_t{row} + 1;
      for (size_t i = 0; i < header.row_size; ++i) {
        const auto value = static_cast<float>(
            ValueAt(bytes.data() + i * header.element.bytes, header.element.element));
        if (!std::isfinite(value)) {
          return absl::InvalidArgumentError(
              fmt::format("{}: row {}, value {} must be a finite number, got {}: mend or remove "
                          "the row",
                          paths_.features, row, i, value));
        }
        values.push_back(value);
      }
    }
    if (next_row < header.shape[0]) {  // the last byte is read: moving past the end is no error
      SKERRY_RETURN_IF_ERROR(array.source.Skip((header.shape[0] - next_row) * row_bytes - 1));
      SKERRY_RETURN_IF_ERROR(array.source.ReadExactly(bytes.data(), 1, "the last row"));
    }
    SKERRY_RETURN_IF_ERROR(array.source.ExpectEnd());
    return Features(std::move(values));
  }

 private:
  NpyPaths paths_;
  NpyHeader features_;
  NpyArray labels_;
  std::vector<int64_t> shape_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RowSource>> OpenNpy(const NpyPaths& paths) {
  SKERRY_ASSIGN_OR_RETURN(const NpyArray features, NpyArray::Open(paths.features));
  SKERRY_ASSIGN_OR_RETURN(NpyArray labels, NpyArray::Open(paths.labels));
  if (labels.header.shape.size() > 2) {
    return absl::InvalidArgumentError(
        fmt::format("{} has {} dimensions, expected 1 or 2 for labels", paths.labels,
                    labels.header.shape.size()));
  }
  if (features.header.shape[0] != labels.header.shape[0]) {
    return absl::InvalidArgumentError(
        fmt::format("{} has {} rows but {} has {}: they do not belong together", paths.features,
                    features.header.shape[0], paths.labels, labels.header.shape[0]));
  }
  return std::make_unique<NpySource>(paths, features.header, std::move(labels));
}

}  // namespace skerry
