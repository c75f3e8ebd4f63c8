// Comma-separated values. Rows that are read are written anew, numbers to the last bit and texts in
// quotes, and read equal.
//
// Input: a byte that chooses the loss and whether a partition column is needed, then the file. The
// label is column y, the partition column p.
#include <fmt/format.h>

#include "common/base/status.h"
#include "tests/fuzz/row_checks.h"

namespace skerry {
namespace {

std::string InQuotes(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string CsvOf(const fuzz::Rows& rows) {
  const bool has_groups = !rows.labelled.groups.empty();
  std::string text = "y";
  for (size_t i = 0; i < rows.row_size(); ++i) text += fmt::format(",c{}", i);
  text += has_groups ? ",p\n" : "\n";
  const LabelColumn& labels = rows.labelled.labels;
  for (size_t row = 0; row < rows.row_count(); ++row) {
    // The shortest text of a double reads back the same, and a float is one.
    text += labels.has_classes() ? fmt::format("{}", labels.classes()[row])
                                 : fmt::format("{}", static_cast<double>(labels.targets()[row]));
    for (size_t i = 0; i < rows.row_size(); ++i) {
      text += fmt::format(",{}", static_cast<double>(rows.values[row * rows.row_size() + i]));
    }
    if (has_groups) {
      text += ',' + InQuotes(rows.labelled.groups[rows.labelled.group_of_row[row]]);
    }
    text += '\n';
  }
  return text;
}

}  // namespace
}  // namespace skerry

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  fuzz::InputReader input({data, size});
  const auto choice = input.Number<uint8_t>();
  const LabelSpec spec = fuzz::SpecOf(choice);
  const CsvColumns columns = {
      .label = "y",
      .partition = "p",
      .partition_need = choice >= 128 ? CsvColumns::Need::kRequired : CsvColumns::Need::kOptional};
  const std::string path = fuzz::WriteScratch("in.csv", input.Rest());
  const fuzz::AllocationMeter meter;
  // A column may be two bytes, and its name stands in a list and a map. Two readers with blocks of
  // 256 kB may be open.
  constexpr fuzz::MemoryBound kBound = {.factor = 256, .base = 1 << 20};
  const std::optional<fuzz::Rows> rows =
      fuzz::ReadAll(OpenCsv(path, columns), spec, meter, size, kBound);
  if (!rows.has_value()) return 0;
  for (size_t i = 0; i < rows->labelled.group_of_row.size(); ++i) {
    SKERRY_ASSERT(rows->labelled.group_of_row[i] < rows->labelled.groups.size());
  }

  const std::string text = CsvOf(*rows);
  const fuzz::AllocationMeter second_meter;
  const std::optional<fuzz::Rows> again =
      fuzz::ReadAll(OpenCsv(fuzz::WriteScratch("out.csv", text), columns), spec, second_meter,
                    text.size(), kBound);
  SKERRY_ASSERT(again.has_value());
  fuzz::CheckEqual(*rows, *again);
  return 0;
}
