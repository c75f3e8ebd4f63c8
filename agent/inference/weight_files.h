// The tensors of a model folder, mapped into memory: `model.safetensors`, or the files that
// `model.safetensors.index.json` lists. Pages are read when they are first used and held once, by
// the kernel's cache.
//
// If the folder has a file SHA256SUMS (`sha256sum *.safetensors > SHA256SUMS`), the files that it
// names are checked against it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace skerry {

struct StoredTensor {
  std::string dtype;
  std::vector<int64_t> sizes;
  std::span<const uint8_t> bytes;
  std::string file;  // the name in the folder
};

class WeightFiles {
 public:
  // Fails with kNotFound, kInvalidArgument or kDataLoss, naming file and tensor.
  static absl::StatusOr<WeightFiles> Open(const std::string& folder);
  ~WeightFiles();
  WeightFiles(WeightFiles&&) noexcept;
  WeightFiles& operator=(WeightFiles&&) = delete;

  // By name. The bytes live as long as this does.
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  // Of all files, mapped.
  uint64_t bytes() const { return bytes_; }

 private:
  class Mapping;
  WeightFiles();
  absl::Status Add(const std::string& folder, const std::string& file);

  std::vector<std::unique_ptr<Mapping>> mappings_;
  std::map<std::string, StoredTensor> tensors_;
  uint64_t bytes_ = 0;
};

}  // namespace skerry
