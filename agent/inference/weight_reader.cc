#include "agent/inference/weight_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "absl/status/status.h"

namespace skerry {
namespace {

constexpr size_t kProblemsShownMax = 8;

int64_t BlockCount(int64_t size, int64_t block) { return (size + block - 1) / block; }

std::string Place(const StoredTensor& tensor, const std::string& name) {
  return fmt::format("{}: {}", tensor.file, name);
}

}  // namespace

void WeightReader::Report(const std::string& problem) {
  if (++problem_count_ <= kProblemsShownMax) problems_.push_back(problem);
}

const StoredTensor* WeightReader::Find(const std::string& name, const std::vector<int64_t>& sizes) {
  used_.insert(name);
  const auto found = files_.tensors().find(name);
  if (found == files_.tensors().end()) {
    Report(fmt::format("{} is missing", name));
    return nullptr;
  }
  const StoredTensor& tensor = found->second;
  if (tensor.sizes != sizes) {
    Report(fmt::format("{} must have the shape [{}] by config.json, got [{}]", Place(tensor, name),
                       fmt::join(sizes, ", "), fmt::join(tensor.sizes, ", ")));
    return nullptr;
  }
  const std::optional<NumberFormat> format = FindFormat(tensor.dtype);
  if (!format) {
    Report(fmt::format("{} must be F32, BF16, F16 or F8_E4M3, got {}", Place(tensor, name),
                       tensor.dtype));
    return nullptr;
  }
  const size_t count = tensor.bytes.size() / BytesOf(*format);
  if (const auto place = FindNotFinite(*format, tensor.bytes.data(), count)) {
    Report(fmt::format("{} is not finite at number {} of {}: the file is damaged",
                       Place(tensor, name), *place, count));
    return nullptr;
  }
  return &tensor;
}

BlockScales WeightReader::Scales(const std::string& name, int64_t rows, int64_t columns) {
  if (!config_.fp8_blocks) {
    Report(fmt::format("{} is F8_E4M3, but config.json has no quantization_config of fp8", name));
    return {};
  }
  const auto [block_rows, block_columns] = *config_.fp8_blocks;
  const std::string scales = name + "_scale_inv";
  const StoredTensor* tensor =
      Find(scales, {BlockCount(rows, block_rows), BlockCount(columns, block_columns)});
  if (tensor == nullptr) return {};
  const NumberFormat format = *FindFormat(tensor->dtype);
  std::vector<float>& values = scales_.emplace_back(tensor->bytes.size() / BytesOf(format));
  ReadNumbers(format, tensor->bytes.data(), 0, values);
  return {.values = values.data(),
          .block_rows = static_cast<size_t>(block_rows),
          .block_columns = static_cast<size_t>(block_columns)};
}

Matrix WeightReader::Weight(const std::string& name, int64_t rows, int64_t columns) {
  const StoredTensor* tensor = Find(name, {rows, columns});
  if (tensor == nullptr) return {};
  const NumberFormat format = *FindFormat(tensor->dtype);
  if (format == NumberFormat::kF32 &&
      reinterpret_cast<uintptr_t>(tensor->bytes.data()) % alignof(float) != 0) {
    Report(
        fmt::format("{} does not begin at a multiple of 4 bytes: write the file again with "
                    "safetensors",
                    Place(*tensor, name)));
    return {};
  }
  const BlockScales scales =
      format == NumberFormat::kF8E4m3 ? Scales(name, rows, columns) : BlockScales();
  return Matrix(format, tensor->bytes.data(), static_cast<size_t>(rows),
                static_cast<size_t>(columns), scales);
}

std::vector<float> WeightReader::Vector(const std::string& name, int64_t size) {
  std::vector<float> values(static_cast<size_t>(size));
  const StoredTensor* tensor = Find(name, {size});
  if (tensor != nullptr) {
    ReadNumbers(*FindFormat(tensor->dtype), tensor->bytes.data(), 0, values);
  }
  return values;
}

absl::Status WeightReader::Finish() const {
  std::vector<std::string> problems = problems_;
  size_t count = problem_count_;
  for (const auto& [name, tensor] : files_.tensors()) {
    const bool is_expected =
        used_.contains(name) ||
        std::any_of(ignored_.begin(), ignored_.end(),
                    [&](const std::string& prefix) { return name.starts_with(prefix); }) ||
        name.ends_with(".rotary_emb.inv_freq");  // some old files carry what follows from config
    if (is_expected) continue;
    if (++count <= kProblemsShownMax) {
      problems.push_back(fmt::format("{} does not belong to this model", Place(tensor, name)));
    }
  }
  if (count == 0) return absl::OkStatus();
  std::string text = fmt::format("{}", fmt::join(problems, "; "));
  if (count > problems.size()) text += fmt::format("; and {} more", count - problems.size());
  return absl::InvalidArgumentError(text);
}

}  // namespace skerry
