// Model folders for tests: the reference models, and variants of them that a test writes.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "agent/inference/number_formats.h"
#include "agent/inference/weight_files.h"
#include "common/base/file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {

inline std::string ReferenceFolder(const std::string& model) {
  return fmt::format("{}/tests/golden/models/{}", SKERRY_SOURCE_DIR, model);
}

struct RawTensor {
  std::string dtype;
  std::vector<int64_t> sizes;
  std::string bytes;
};
using RawTensors = std::map<std::string, RawTensor>;

// A whole file in safetensors' format, tensors in the order of their names.
inline std::string SafetensorsBytes(const RawTensors& tensors) {
  nlohmann::ordered_json header;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.sizes},
                    {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string length(8, '\0');
  const uint64_t size = text.size();
  std::memcpy(length.data(), &size, sizeof(size));
  return length + text + data;
}

inline RawTensors ReadTensors(const std::string& folder) {
  auto files = WeightFiles::Open(folder);
  EXPECT_OK(files.status());
  RawTensors tensors;
  for (const auto& [name, tensor] : files->tensors()) {
    tensors[name] = {tensor.dtype, tensor.sizes,
                     std::string(tensor.bytes.begin(), tensor.bytes.end())};
  }
  return tensors;
}

inline std::vector<float> FloatsOf(const RawTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / BytesOf(*FindFormat(tensor.dtype)));
  ReadNumbers(*FindFormat(tensor.dtype), tensor.bytes.data(), 0, values);
  return values;
}

inline std::string BytesOfFloats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// A folder of its own with a reference model's config, which the test may change.
class ModelFolder {
 public:
  explicit ModelFolder(const std::string& model) {
    const auto text = ReadFile(ReferenceFolder(model) + "/config.json", 1 << 20);
    EXPECT_OK(text.status());
    config = nlohmann::json::parse(*text);
    tensors = ReadTensors(ReferenceFolder(model));
  }

  nlohmann::json config;
  RawTensors tensors;

  const std::string& path() const { return folder_.path(); }
  void WriteFile(const std::string& name, const std::string& bytes) const {
    EXPECT_OK(WriteFileAtomically(folder_ / name, bytes));
  }
  // config.json and model.safetensors.
  const std::string& Write() const {
    WriteFile("config.json", config.dump());
    WriteFile("model.safetensors", SafetensorsBytes(tensors));
    return folder_.path();
  }
  // The tensors in two files with an index.
  const std::string& WriteTwoShards() const {
    WriteFile("config.json", config.dump());
    RawTensors shards[2];
    nlohmann::json map;
    size_t i = 0;
    for (const auto& [name, tensor] : tensors) {
      const size_t shard = i++ % 2;
      shards[shard][name] = tensor;
      map[name] = "model-0000" + std::to_string(shard + 1) + "-of-00002.safetensors";
    }
    for (size_t shard = 0; shard < 2; ++shard) {
      WriteFile("model-0000" + std::to_string(shard + 1) + "-of-00002.safetensors",
                SafetensorsBytes(shards[shard]));
    }
    WriteFile("model.safetensors.index.json",
              nlohmann::json({{"metadata", nlohmann::json::object()}, {"weight_map", map}}).dump());
    return folder_.path();
  }

 private:
  TemporaryDirectory folder_;
};

}  // namespace skerry
