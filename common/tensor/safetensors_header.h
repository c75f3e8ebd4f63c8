// What a safetensors file says of itself: names, types, shapes and places of its tensors, checked
// against the size of the file. Reads no tensor.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/tensor/parameter_layout.h"
#include "common/tensor/safetensors.h"

namespace skerry {

struct TensorEntry {
  TensorShape shape;
  std::string dtype;   // as the format names it: F32, BF16, F8_E4M3, ...
  uint64_t begin = 0;  // bytes from SafetensorsHeader::data_begin
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // by data offset
  SafetensorsMetadata metadata;
  uint64_t data_begin = 0;
};

// Bytes of one value, or 0 for a type that the format does not have.
uint64_t ValueBytes(std::string_view dtype);

// Reads from the beginning of a file of `file_bytes` bytes. Fails with kInvalidArgument, naming the
// tensor, if types, shapes and places contradict each other or the file.
absl::StatusOr<SafetensorsHeader> ReadSafetensorsHeader(std::istream& file, uint64_t file_bytes);

}  // namespace skerry
