#include "common/tensor/safetensors_header.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/bytes.h"
#include "common/base/status.h"

namespace skerry {
namespace {

using Json = nlohmann::json;

// The reference implementation's limit.
constexpr uint64_t kHeaderBytesMax = 100'000'000;

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
  TensorEntry entry;
  entry.shape.name = name;
  entry.dtype = *dtype;
  uint64_t bytes = ValueBytes(entry.dtype);
  if (bytes == 0) return bad(fmt::format("dtype {} is unknown", entry.dtype.substr(0, 40)));
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

}  // namespace

absl::StatusOr<SafetensorsHeader> ReadSafetensorsHeader(std::istream& file, uint64_t file_bytes) {
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

  SafetensorsHeader header;
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

uint64_t ValueBytes(std::string_view dtype) {
  constexpr std::array<std::pair<std::string_view, uint64_t>, 14> kTypes = {{{"BOOL", 1},
                                                                             {"U8", 1},
                                                                             {"I8", 1},
                                                                             {"F8_E4M3", 1},
                                                                             {"F8_E5M2", 1},
                                                                             {"U16", 2},
                                                                             {"I16", 2},
                                                                             {"F16", 2},
                                                                             {"BF16", 2},
                                                                             {"U32", 4},
                                                                             {"I32", 4},
                                                                             {"F32", 4},
                                                                             {"I64", 8},
                                                                             {"F64", 8}}};
  for (const auto& [name, bytes] : kTypes) {
    if (name == dtype) return bytes;
  }
  return 0;
}

}  // namespace skerry
