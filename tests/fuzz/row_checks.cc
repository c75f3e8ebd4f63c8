#include "tests/fuzz/row_checks.h"

#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "common/base/status.h"

namespace skerry::fuzz {
namespace {

constexpr size_t kMessageBytesMax = 16 << 10;  // column names of twenty columns may be in it

std::vector<float> Floats(const Features& features) {
  return std::visit(
      [](const auto& values) { return std::vector<float>(values.begin(), values.end()); },
      features);
}

bool AreSameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

void CheckLabels(const LabelColumn& labels, const LabelSpec& spec) {
  for (const uint32_t label : labels.classes()) SKERRY_ASSERT(label < spec.output_count);
  for (const float target : labels.targets()) {
    SKERRY_ASSERT(spec.loss == LossName::kBce ? target == 0 || target == 1 : std::isfinite(target));
  }
}

}  // namespace

std::optional<Rows> ReadAll(absl::StatusOr<std::unique_ptr<RowSource>> source,
                            const LabelSpec& spec, const AllocationMeter& meter, size_t input_bytes,
                            MemoryBound bound) {
  CheckMemory(meter, input_bytes, bound);
  if (!source.ok()) {
    CheckRefusal(source.status(), kMessageBytesMax);
    return std::nullopt;
  }
  absl::StatusOr<LabelledRows> labelled = (*source)->ReadLabels(spec);
  CheckMemory(meter, input_bytes, bound);
  if (!labelled.ok()) {
    CheckRefusal(labelled.status(), kMessageBytesMax);
    return std::nullopt;
  }
  const size_t row_count = labelled->labels.row_count();
  SKERRY_ASSERT(row_count > 0);
  CheckLabels(labelled->labels, spec);

  std::vector<uint32_t> all(row_count);
  std::iota(all.begin(), all.end(), 0u);
  const absl::StatusOr<Features> features = (*source)->ReadRows(all);
  CheckMemory(meter, input_bytes, bound);
  if (!features.ok()) {
    CheckRefusal(features.status(), kMessageBytesMax);
    return std::nullopt;
  }
  Rows rows{(*source)->example_shape(), *std::move(labelled), Floats(*features)};
  const int64_t row_size = std::accumulate(rows.example_shape.begin(), rows.example_shape.end(),
                                           int64_t{1}, std::multiplies<>());
  SKERRY_ASSERT(rows.values.size() == row_count * static_cast<size_t>(row_size));
  for (const float value : rows.values) SKERRY_ASSERT(std::isfinite(value));

  std::vector<uint32_t> every_second;
  std::vector<float> expected;
  for (uint32_t row = 1; row < row_count; row += 2) {
    every_second.push_back(row);
    const auto begin = rows.values.begin() + static_cast<ptrdiff_t>(row * rows.row_size());
    expected.insert(expected.end(), begin, begin + static_cast<ptrdiff_t>(rows.row_size()));
  }
  const absl::StatusOr<Features> some = (*source)->ReadRows(every_second);
  SKERRY_ASSERT(some.ok() && AreSameBits(Floats(*some), expected));
  return rows;
}

LabelSpec SpecOf(uint8_t choice) {
  switch (choice % 3) {
    case 0:
      return {.loss = LossName::kCrossEntropy, .output_count = 10};
    case 1:
      return {.loss = LossName::kBce, .output_count = 1};
    default:
      return {.loss = LossName::kMse, .output_count = 1};
  }
}

void CheckEqual(const Rows& a, const Rows& b) {
  SKERRY_ASSERT(AreSameBits(a.values, b.values));
  SKERRY_ASSERT(a.labelled.labels.classes() == b.labelled.labels.classes());
  SKERRY_ASSERT(AreSameBits(a.labelled.labels.targets(), b.labelled.labels.targets()));
  SKERRY_ASSERT(a.labelled.groups == b.labelled.groups);
  SKERRY_ASSERT(a.labelled.group_of_row == b.labelled.group_of_row);
}

}  // namespace skerry::fuzz
