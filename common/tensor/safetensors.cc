#include "common/tensor/safetensors.h"

#include <algorithm>
#include <fstream>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/bytes.h"
#include "common/base/file.h"

namespace skerry {
namespace {

using Json = nlohmann::json;

// The reference implementation's limit.
constexpr uint64_t kHeaderBytesMax = 100'000'000;

struct TensorEntry {
  TensorShape shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct Header {
  std::vector<TensorEntry> tensors;  // by data offset
  SafetensorsMetadata metadata;
  uint64_t data_begin = 0;
};

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

absl::StatusOr<TensorEntry> ParseEntry(const std::string& name, const Json& json,
                                       uint64_t data_bytes) {
  const auto bad = [&](std::string_view what) {
    return absl::InvalidArgumentError(fmt::format("tensor {}: {}", name, what));
  };
  if (!json.is_object()) return bad("expected an object");
  const auto dtype = json.find("dtype");
  const auto shape = json.find("shape");
  const auto offsets = json.find("data_offsets");
  if (dtype == json.end() || !dtype->is_string() || shape == json.end() || !shape->is_array() ||
      offsets == json.end() || !offsets->is_array() || offsets->size() != 2 ||
      !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
    return bad("expected dtype, shape and two data_offsets");
  }
  if (*dtype != "F32") {
    return bad(fmt::format("dtype must be F32, got {}", dtype->get<std::string>()));
  }
  TensorEntry entry;
  entry.shape.name = name;
  uint64_t bytes = sizeof(float);
  for (const Json& size : *shape) {
    if (!size.is_number_unsigned() || size == 0u ||
        size.get<uint64_t>() > data_bytes / bytes) {  // also keeps the product from overflowing
      return bad("a size is zero, not a number or larger than the file");
    }
    bytes *= size.get<uint64_t>();
    entry.shape.sizes.push_back(size.get<int64_t>());
  }
  entry.begin = (*offsets)[0];
  entry.end = (*offsets)[1];
  if (entry.begin > entry.end || entry.end > data_bytes || entry.end - entry.begin != bytes) {
    return bad(fmt::format("data_offsets [{}, {}) do not hold {} bytes of the {} in the file",
                           entry.begin, entry.end, bytes, data_bytes));
  }
  return entry;
}

absl::StatusOr<Header> ReadHeader(std::ifstream& file, uint64_t file_bytes) {
  char length_bytes[8] = {};
  if (file_bytes < 8 || !file.read(length_bytes, 8)) {
    return absl::InvalidArgumentError("shorter than the 8-byte header length");
  }
  const auto length = LoadLittleEndian<uint64_t>(length_bytes);
  if (length > kHeaderBytesMax || length > file_bytes - 8) {
    return absl::InvalidArgumentError(
        fmt::format("header length {} exceeds the file ({} bytes) or the limit of {}", length,
                    file_bytes, kHeaderBytesMax));
  }
  std::string text(length, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(length))) {
    return absl::InvalidArgumentError("header is truncated");
  }
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("header is not a JSON object");

  Header header;
  header.data_begin = 8 + length;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) return absl::InvalidArgumentError("__metadata__ is not an object");
      for (const auto& [key, text_value] : value.items()) {
        if (!text_value.is_string()) {
          return absl::InvalidArgumentError(fmt::format("metadata {} is not a string", key));
        }
        header.metadata[key] = text_value;
      }
      continue;
    }
    SKERRY_ASSIGN_OR_RETURN(TensorEntry entry,
                            ParseEntry(name, value, file_bytes - header.data_begin));
    header.tensors.push_back(std::move(entry));
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < header.tensors.size(); ++i) {
    if (header.tensors[i].begin < header.tensors[i - 1].end) {
      return absl::InvalidArgumentError(fmt::format("tensors {} and {} overlap",
                                                    header.tensors[i - 1].shape.name,
                                                    header.tensors[i].shape.name));
    }
  }
  return header;
}

absl::StatusOr<std::vector<TensorEntry>> Match(const Header& header,
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
  SKERRY_ASSIGN_OR_RETURN(Header header, ReadHeader(file, file_bytes));

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
