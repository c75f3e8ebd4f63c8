#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/ml/byte_source.h"
#include "common/ml/row_source.h"

namespace skerry {
namespace {

constexpr size_t kBlockBytes = 256 * 1024;
constexpr size_t kColumnsMax = 100'000;
constexpr size_t kFieldBytesMax = 1 << 20;
constexpr size_t kGroupsMax = 1'000'000;

// Splits a file into records of fields. Keeps one block and one record in memory.
class CsvReader {
 public:
  explicit CsvReader(ByteSource source) : source_(std::move(source)), block_(kBlockBytes) {}

  // The next record that is not blank, or false at the end. `fields` is reused.
  absl::StatusOr<bool> Next(std::vector<std::string>& fields) {
    for (;;) {
      line_ = next_line_;
      field_count_ = 0;
      if (Peek() == kEnd) return status_.ok() ? absl::StatusOr<bool>(false) : status_;
      ReadRecord(fields);
      if (!status_.ok()) return status_;
      fields.resize(field_count_);
      if (field_count_ != 1 || !fields[0].empty()) return true;
    }
  }

  // The line on which the last record started, from 1.
  uint64_t line() const { return line_; }

 private:
  static constexpr int kEnd = -1;
  // Spreadsheets put one first.
  static constexpr std::array<uint8_t, 3> kByteOrderMark = {0xEF, 0xBB, 0xBF};

  // The next byte; kEnd at the end of the file and after an error, which is kept in `status_`.
  int Peek() {
    if (position_ == filled_) {
      if (!status_.ok()) return kEnd;
      const absl::StatusOr<size_t> got = source_.Read(block_.data(), block_.size());
      position_ = 0;
      filled_ = got.ok() ? *got : 0;
      if (!got.ok()) status_ = got.status();
      if (filled_ == 0) return kEnd;
      if (is_at_start_ && filled_ > kByteOrderMark.size() &&
          std::equal(kByteOrderMark.begin(), kByteOrderMark.end(), block_.begin())) {
        position_ = kByteOrderMark.size();
      }
      is_at_start_ = false;
    }
    return block_[position_];
  }

  int Get() {
    const int byte = Peek();
    if (byte != kEnd) ++position_;
    if (byte == '\n') ++next_line_;
    return byte;
  }

  // Keeps the first error and makes everything after it the end.
  void Fail(std::string_view what) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(fmt::format("{}:{}: {}", source_.path(), line_, what));
    }
    filled_ = position_;
  }

  void ReadRecord(std::vector<std::string>& fields) {
    do {
      if (field_count_ == kColumnsMax) Fail(fmt::format("more than {} columns", kColumnsMax));
      if (field_count_ == fields.size()) fields.emplace_back();
      fields[field_count_].clear();
    } while (ReadField(fields[field_count_++]) == ',');
  }

  // Reads one field and returns what ended it: ',', '\n' or kEnd.
  int ReadField(std::string& field) {
    const bool is_quoted = Peek() == '"';
    if (is_quoted) ReadQuoted(field);
    for (;;) {
      int byte = Get();
      if (byte == '\r' && (Peek() == '\n' || Peek() == kEnd)) byte = Get();
      if (byte == ',' || byte == '\n' || byte == kEnd) return byte;
      if (is_quoted) {
        Fail("text after a closing quote; write \"\" for a quote");
      } else {
        Append(byte, field);
      }
    }
  }

  void ReadQuoted(std::string& field) {
    Get();  // the opening quote
    for (;;) {
      const int byte = Get();
      if (byte == kEnd) return Fail("a quote is opened in this row and never closed");
      if (byte == '"') {
        if (Peek() != '"') return;
        Get();
      }
      Append(byte, field);
    }
  }

  void Append(int byte, std::string& field) {
    if (field.size() == kFieldBytesMax) {
      return Fail(fmt::format("a field is longer than {} bytes", kFieldBytesMax));
    }
    field.push_back(static_cast<char>(byte));
  }

  ByteSource source_;
  std::vector<uint8_t> block_;
  size_t position_ = 0;
  size_t filled_ = 0;
  bool is_at_start_ = true;
  size_t field_count_ = 0;
  uint64_t line_ = 1;
  uint64_t next_line_ = 1;
  absl::Status status_;
};

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// The whole of `text` as a number, whatever the locale.
std::optional<double> Number(std::string_view text) {
  text = Trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 40;
  std::string shown;
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return fmt::format("\"{}{}\"", shown, text.size() > kShown ? "..." : "");
}

struct Header {
  std::vector<std::string> names;
  std::vector<size_t> features;  // positions
  size_t label = 0;
  std::optional<size_t> partition;
};

absl::StatusOr<Header> HeaderOf(std::vector<std::string> names, const std::string& path,
                                const CsvColumns& columns) {
  Header header;
  std::optional<size_t> label;
  std::map<std::string, size_t> seen;
  for (size_t i = 0; i < names.size(); ++i) {
    names[i] = std::string(Trimmed(names[i]));
    const auto [other, is_new] = seen.emplace(names[i], i);
    if (!is_new) {
      return absl::InvalidArgumentError(fmt::format("{}:1: columns {} and {} are both named {}",
                                                    path, other->second + 1, i + 1,
                                                    Quoted(names[i])));
    }
    if (names[i] == columns.label) {
      label = i;
    } else if (!columns.partition.empty() && names[i] == columns.partition) {
      header.partition = i;
    } else {
      header.features.push_back(i);
    }
  }
  const auto missing = [&](std::string_view key, const std::string& column) {
    constexpr size_t kShown = 20;
    const std::vector<std::string> shown(
        names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, names.size())));
    return absl::InvalidArgumentError(fmt::format("{}:1: {} names column {}, the file has {}{}",
                                                  path, key, Quoted(column), fmt::join(shown, ", "),
                                                  names.size() > kShown ? ", ..." : ""));
  };
  if (!label.has_value()) return missing("data.label", columns.label);
  if (!header.partition.has_value() && columns.partition_need == CsvColumns::Need::kRequired) {
    return missing("data.partition.column", columns.partition);
  }
  if (header.features.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{}:1: there is no column beside the label: no features to learn from", path));
  }
  header.label = *label;
  header.names = std::move(names);
  return header;
}

// Sorts the distinct texts (numbers by value if all are numbers) and rewrites the positions.
void SortGroups(std::vector<std::string>& groups, std::vector<uint32_t>& group_of_row) {
  const bool are_numbers = std::all_of(groups.begin(), groups.end(), [](const std::string& group) {
    const std::optional<double> number = Number(group);
    return number.has_value() && !std::isnan(*number);
  });
  std::vector<uint32_t> order(groups.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (are_numbers && *Number(groups[a]) != *Number(groups[b])) {
      return *Number(groups[a]) < *Number(groups[b]);
    }
    return groups[a] < groups[b];
  });
  std::vector<uint32_t> position(groups.size());
  std::vector<std::string> sorted;
  for (uint32_t i = 0; i < order.size(); ++i) {
    position[order[i]] = i;
    sorted.push_back(std::move(groups[order[i]]));
  }
  groups = std::move(sorted);
  for (uint32_t& group : group_of_row) group = position[group];
}

class CsvSource : public RowSource {
 public:
  CsvSource(std::string path, Header header)
      : path_(std::move(path)),
        header_(std::move(header)),
        shape_{static_cast<int64_t>(header_.features.size())} {}

  const std::vector<int64_t>& example_shape() const override { return shape_; }

  absl::StatusOr<LabelledRows> ReadLabels(const LabelSpec& spec) override {
    LabelledRows rows{.labels = LabelColumn(spec), .group_of_row = {}, .groups = {}};
    std::map<std::string, uint32_t> group_ids;
    SKERRY_RETURN_IF_ERROR(
        Walk([&](uint64_t row, uint64_t line,
                 const std::vector<std::string>& fields) -> absl::StatusOr<bool> {
          if (row == kRowCountMax) {
            return absl::InvalidArgumentError(
                fmt::format("{} has more than {} rows", path_, kRowCountMax));
          }
          SKERRY_ASSIGN_OR_RETURN(const double label, NumberAt(fields, header_.label, line));
          if (const absl::Status added = rows.labels.Add({&label, 1}); !added.ok()) {
            return Annotate(added, Place(header_.label, line));
          }
          if (header_.partition.has_value()) {
            const std::string group(Trimmed(fields[*header_.partition]));
            const auto id = group_ids.emplace(group, static_cast<uint32_t>(group_ids.size())).first;
            rows.group_of_row.push_back(id->second);
            if (group_ids.size() > kGroupsMax) {
              return absl::InvalidArgumentError(fmt::format(
                  "{}: more than {} distinct values", Place(*header_.partition, line), kGroupsMax));
            }
          }
          return true;
        }));
    if (rows.labels.row_count() == 0) {
      return absl::InvalidArgumentError(fmt::format("{} has a header but no rows", path_));
    }
    rows.groups.resize(group_ids.size());
    for (const auto& [group, id] : group_ids) rows.groups[id] = group;
    SortGroups(rows.groups, rows.group_of_row);
    return rows;
  }

  absl::StatusOr<Features> ReadRows(std::span<const uint32_t> rows) override {
    std::vector<float> values;
    values.reserve(rows.size() * header_.features.size());
    size_t next = 0;
    SKERRY_RETURN_IF_ERROR(
        Walk([&](uint64_t row, uint64_t line,
                 const std::vector<std::string>& fields) -> absl::StatusOr<bool> {
          if (next == rows.size()) return false;
          if (row != rows[next]) return true;
          ++next;
          for (const size_t column : header_.features) {
            SKERRY_ASSIGN_OR_RETURN(const double value, NumberAt(fields, column, line));
            values.push_back(static_cast<float>(value));
          }
          return true;
        }));
    if (next != rows.size()) {
      return absl::FailedPreconditionError(fmt::format("{} changed while it was read", path_));
    }
    return Features(std::move(values));
  }

 private:
  std::string Place(size_t column, uint64_t line) const {
    return fmt::format("{}:{}: column {}", path_, line, Quoted(header_.names[column]));
  }

  absl::StatusOr<double> NumberAt(const std::vector<std::string>& fields, size_t column,
                                  uint64_t line) const {
    const std::optional<double> number = Number(fields[column]);
    // Judged as the float that is kept, so that 1e300 does not become infinity unseen.
    if (!number.has_value() || !std::isfinite(static_cast<float>(*number))) {
      return absl::InvalidArgumentError(fmt::format(
          "{} must be a finite number, got {}: mend or remove the row", Place(column, line),
          Trimmed(fields[column]).empty() ? "nothing" : Quoted(fields[column])));
    }
    return *number;
  }

  // Calls `visit(row from 0, line, fields)` for each row until it returns false.
  template <typename Visit>
  absl::Status Walk(const Visit& visit) const {
    SKERRY_ASSIGN_OR_RETURN(ByteSource source, ByteSource::Open(path_));
    CsvReader reader(std::move(source));
    std::vector<std::string> fields;
    SKERRY_ASSIGN_OR_RETURN(bool has_record, reader.Next(fields));  // the header
    for (uint64_t row = 0; has_record; ++row) {
      SKERRY_ASSIGN_OR_RETURN(has_record, reader.Next(fields));
      if (!has_record) break;
      if (fields.size() != header_.names.size()) {
        return absl::InvalidArgumentError(
            fmt::format("{}:{}: expected {} columns as in the header, got {}", path_, reader.line(),
                        header_.names.size(), fields.size()));
      }
      SKERRY_ASSIGN_OR_RETURN(const bool is_wanted, visit(row, reader.line(), fields));
      if (!is_wanted) break;
    }
    return absl::OkStatus();
  }

  std::string path_;
  Header header_;
  std::vector<int64_t> shape_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RowSource>> OpenCsv(const std::string& path,
                                                   const CsvColumns& columns) {
  SKERRY_ASSIGN_OR_RETURN(ByteSource source, ByteSource::Open(path));
  CsvReader reader(std::move(source));
  std::vector<std::string> names;
  SKERRY_ASSIGN_OR_RETURN(const bool has_header, reader.Next(names));
  if (!has_header) {
    return absl::InvalidArgumentError(
        fmt::format("{} is empty, expected a header line with column names", path));
  }
  SKERRY_ASSIGN_OR_RETURN(Header header, HeaderOf(std::move(names), path, columns));
  return std::make_unique<CsvSource>(path, std::move(header));
}

}  // namespace skerry
