// Where rows come from: one reader for each file format. A source is read in two steps, so that a
// process that hosts a few of a thousand nodes never holds the others' rows: first the labels of
// all rows (which decide the partition), then the features of the rows that are kept.
//
// Inner interface of data_loader.cc and the readers' tests. Errors name the file, the row and what
// to do. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ml/dataset.h"
#include "common/ml/label_column.h"

namespace skerry {

// Limits of one source, checked before anything is allocated.
inline constexpr uint64_t kRowCountMax = 1'000'000'000;
inline constexpr uint64_t kExampleSizeMax = 16 << 20;

struct LabelledRows {
  LabelColumn labels;
  // Text of the partition column in each row, as positions in `groups`, which is sorted; numbers
  // by value if all of them are numbers. Empty without such a column.
  std::vector<uint32_t> group_of_row;
  std::vector<std::string> groups;
};

class RowSource {
 public:
  virtual ~RowSource() = default;
  // Of one row.
  virtual const std::vector<int64_t>& example_shape() const = 0;
  virtual absl::StatusOr<LabelledRows> ReadLabels(const LabelSpec& spec) = 0;
  // `rows` ascending, without repetition, below the number of labels.
  virtual absl::StatusOr<Features> ReadRows(std::span<const uint32_t> rows) = 0;
};

// Images and labels in the IDX format of MNIST, unsigned bytes; either may end in .gz.
struct IdxPaths {
  std::string images;
  std::string labels;
};
absl::StatusOr<std::unique_ptr<RowSource>> OpenIdx(const IdxPaths& paths);

// The images-and-labels pair `<prefix>-images-idx3-ubyte`, `<prefix>-labels-idx1-ubyte` in
// `folder`, under any of the names in use (".gz", "-images.idx3-ubyte", other dimensions).
// kNotFound names what was looked for.
absl::StatusOr<IdxPaths> FindIdx(const std::string& folder, const std::string& prefix);

// Comma-separated values with a header line (RFC 4180, quoted fields too). Every column but
// `label` and `partition` is a feature and must be a finite number.
struct CsvColumns {
  std::string label;
  std::string partition;  // may be text; empty: none
  enum class Need { kRequired, kOptional } partition_need = Need::kOptional;
};
absl::StatusOr<std::unique_ptr<RowSource>> OpenCsv(const std::string& path,
                                                   const CsvColumns& columns);

// Two arrays of NumPy's .npy format (versions 1 to 3; float32, float64, uint8, int32, int64,
// little-endian, C order), rows first.
struct NpyPaths {
  std::string features;
  std::string labels;
};
absl::StatusOr<std::unique_ptr<RowSource>> OpenNpy(const NpyPaths& paths);

}  // namespace skerry
