// The public safetensors format: 8 bytes little-endian header length, a JSON header, raw tensor
// data. Skerry writes float32 tensors in layout order without gaps, so the data section is exactly
// ParameterVector::values(), and `model_sha256` is the SHA-256 of that section.
//
// Reading accepts any valid file of F32 tensors (order and gaps as the header says). Sizes are
// checked before anything is allocated; errors name the file and the tensor.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "common/tensor/parameter_vector.h"

namespace skerry {

using SafetensorsMetadata = std::map<std::string, std::string>;

struct SafetensorsFile {
  ParameterVector parameters;
  SafetensorsMetadata metadata;
};

// Writes to a temporary file, fsyncs and renames, so `path` is whole or absent. Streams: needs no
// second copy of the parameters.
absl::Status WriteSafetensors(const std::string& path, const ParameterVector& parameters,
                              const SafetensorsMetadata& metadata = {});

// Reads every tensor, in the order of their data offsets.
absl::StatusOr<SafetensorsFile> ReadSafetensors(const std::string& path);

// Reads the tensors of `layout`, in its order. Fails with kInvalidArgument naming what is missing,
// extra, misshapen or not F32.
absl::StatusOr<SafetensorsFile> ReadSafetensors(const std::string& path, ParameterLayoutPtr layout);

}  // namespace skerry
