#include "common/tensor/safetensors.h"

#include <algorithm>
#include <fstream>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/tensor/safetensors_header.h"

namespace skerry {
namespace {

std::string HeaderFor(const ParameterLayout& layout, const SafetensorsMetadata& metadata) {
  nlohmann::ordered_json header;
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (size_t i = 0; i < layout.tensors().size(); ++i) {
    const TensorShape& tensor = layout.tensors()[i];
    const uint64_t begin = layout.offset(i) * sizeof(float);
    const uint64_t end = begin + tensor.element_count() * sizeof(float);
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.sizes}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.empty() ? "{}" : header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data section starts 8-byte aligned
  return text;
}

absl::StatusOr<std::vector<TensorEntry>> Match(const SafetensorsHeader& header,
                                               const ParameterLayout& layout) {
  std::map<std::string_view, const TensorEntry*> by_name;
  for (const TensorEntry& entry : header.tensors) by_name[entry.shape.name] = &entry;
  std::vector<TensorEntry> ordered;
  std::vector<std::string> problems;
  for (const TensorShape& wanted : layout.tensors()) {
    const auto found = by_name.find(wanted.name);
    if (found == by_name.end()) {
      problems.push_back(fmt::format("{} is missing", wanted.name));
      continue;
    }
    if (found->second->shape != wanted) {
      problems.push_back(fmt::format("{} must have shape [{}], got [{}]", wanted.name,
                                     fmt::join(wanted.sizes, ", "),
                                     fmt::join(found->second->shape.sizes, ", ")));
    }
    ordered.push_back(*found->second);
    by_name.erase(found);
  }
  for (const auto& [name, entry] : by_name) {
    problems.push_back(fmt::format("{} is not a parameter of this model", name));
  }
  if (!problems.empty())
    return absl::InvalidArgumentError(fmt::format("{}", fmt::join(problems, "; ")));
  return ordered;
}

absl::StatusOr<SafetensorsFile> Read(const std::string& path,
                                     std::optional<ParameterLayoutPtr> layout) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return absl::NotFoundError("cannot open the file");
  const auto file_bytes = static_cast<uint64_t>(file.tellg());
  file.seekg(0);
  SKERRY_ASSIGN_OR_RETURN(SafetensorsHeader header, ReadSafetensorsHeader(file, file_bytes));
  for (const TensorEntry& entry : header.tensors) {
    if (entry.dtype == "F32") continue;
    return absl::InvalidArgumentError(
        fmt::format("tensor {}: dtype must be F32, got {}", entry.shape.name, entry.dtype));
  }

  std::vector<TensorEntry> entries;
  if (layout.has_value()) {
    SKERRY_ASSIGN_OR_RETURN(entries, Match(header, **layout));
  } else {
    entries = header.tensors;
    std::vector<TensorShape> shapes;
    for (const TensorEntry& entry : entries) shapes.push_back(entry.shape);
    SKERRY_ASSIGN_OR_RETURN(layout, ParameterLayout::Create(std::move(shapes)));
  }

  ParameterVector parameters(*layout);
  for (size_t i = 0; i < entries.size(); ++i) {
    file.seekg(static_cast<std::streamoff>(header.data_begin + entries[i].begin));
    float* to = parameters.values().data() + (*layout)->offset(i);
    const auto bytes = static_cast<std::streamsize>(entries[i].end - entries[i].begin);
    if (!file.read(reinterpret_cast<char*>(to), bytes)) {
      return absl::DataLossError(fmt::format("tensor {} is truncated", entries[i].shape.name));
    }
  }
  return SafetensorsFile{std::move(parameters), std::move(header.metadata)};
}

}  // namespace

absl::Status WriteSafetensors(const std::string& path, const ParameterVector& parameters,
                              const SafetensorsMetadata& metadata) {
  SKERRY_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  const std::string header = HeaderFor(*parameters.layout(), metadata);
  uint8_t length[8];
  StoreLittleEndian<uint64_t>(header.size(), length);
  SKERRY_RETURN_IF_ERROR(file.Write(length));
  SKERRY_RETURN_IF_ERROR(file.Write(AsBytes(header.data(), header.size())));
  SKERRY_RETURN_IF_ERROR(file.Write(AsBytes(parameters.values())));
  return file.Commit();
}

absl::StatusOr<SafetensorsFile> ReadSafetensors(const std::string& path) {
  auto file = Read(path, std::nullopt);
  if (!file.ok()) return Annotate(file.status(), path);
  return file;
}

absl::StatusOr<SafetensorsFile> ReadSafetensors(const std::string& path,
                                                ParameterLayoutPtr layout) {
  auto file = Read(path, std::move(layout));
  if (!file.ok()) return Annotate(file.status(), path);
  return file;
}

}  // namespace skerry
