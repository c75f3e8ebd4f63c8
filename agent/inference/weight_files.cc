#include "agent/inference/weight_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <sys/mman.h>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/crypto/hex.h"
#include "common/crypto/sha256.h"
#include "common/tensor/safetensors_header.h"

namespace skerry {
namespace {

using Json = nlohmann::json;

constexpr const char* kOneFile = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kSums = "SHA256SUMS";
constexpr size_t kIndexBytesMax = 64 << 20;
constexpr size_t kSumsBytesMax = 1 << 20;

// A file of the folder itself: an index must not reach outside.
bool IsPlainName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// Tensor to file, as the index says.
absl::StatusOr<std::map<std::string, std::string>> ReadIndex(const std::string& path) {
  SKERRY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kIndexBytesMax));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    return absl::InvalidArgumentError(
        fmt::format("{} must be a JSON object with a weight_map", path));
  }
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string() || !IsPlainName(file.get<std::string>())) {
      return absl::InvalidArgumentError(fmt::format(
          "{}: weight_map of {} must name a file of the same folder, got {}", path, tensor,
          file.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80)));
    }
    files[tensor] = file.get<std::string>();
  }
  if (files.empty()) return absl::InvalidArgumentError(fmt::format("{} lists no tensor", path));
  return files;
}

// File to the digest that SHA256SUMS gives, in hex; empty without such a file.
absl::StatusOr<std::map<std::string, std::string>> ReadSums(const std::string& folder) {
  std::map<std::string, std::string> sums;
  const std::string path = folder + "/" + kSums;
  if (!std::filesystem::exists(path)) return sums;
  SKERRY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kSumsBytesMax));
  std::istringstream lines(text);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty()) continue;
    const bool is_sum = line.size() > 66 && line[64] == ' ' && (line[65] == ' ' || line[65] == '*');
    if (!is_sum || line.find_first_not_of("0123456789abcdef") < 64) {
      return absl::InvalidArgumentError(fmt::format(
          "{}:{}: expected a SHA-256 in hex, two spaces and a file's name", path, number));
    }
    sums[line.substr(66)] = line.substr(0, 64);
  }
  return sums;
}

}  // namespace

class WeightFiles::Mapping {
 public:
  static absl::StatusOr<std::unique_ptr<Mapping>> Create(const std::string& path, uint64_t size) {
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    void* data = MAP_FAILED;
    if (file.is_open()) data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
    if (data == MAP_FAILED) {
      return absl::UnavailableError(fmt::format("cannot map {}: {}", path, std::strerror(errno)));
    }
    return std::unique_ptr<Mapping>(new Mapping(static_cast<const uint8_t*>(data), size));
  }
  ~Mapping() { ::munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size()); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  Mapping(const uint8_t* data, uint64_t size) : bytes_(data, size) {}
  std::span<const uint8_t> bytes_;
};

WeightFiles::WeightFiles() = default;
WeightFiles::~WeightFiles() = default;
WeightFiles::WeightFiles(WeightFiles&&) noexcept = default;

absl::Status WeightFiles::Add(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return absl::NotFoundError(fmt::format("cannot open {}", path));
  const auto size = static_cast<uint64_t>(file.tellg());
  file.seekg(0);
  const absl::StatusOr<SafetensorsHeader> header = ReadSafetensorsHeader(file, size);
  if (!header.ok()) return Annotate(header.status(), path);
  SKERRY_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping, Mapping::Create(path, size));
  const std::span<const uint8_t> data = mapping->bytes().subspan(header->data_begin);
  for (const TensorEntry& entry : header->tensors) {
    StoredTensor tensor{.dtype = entry.dtype,
                        .sizes = entry.shape.sizes,
                        .bytes = data.subspan(entry.begin, entry.end - entry.begin),
                        .file = name};
    const auto [it, is_new] = tensors_.emplace(entry.shape.name, std::move(tensor));
    if (!is_new) {
      return absl::InvalidArgumentError(fmt::format("tensor {} is in {} and again in {}",
                                                    entry.shape.name, it->second.file, path));
    }
  }
  bytes_ += size;
  mappings_.push_back(std::move(mapping));
  return absl::OkStatus();
}

absl::StatusOr<WeightFiles> WeightFiles::Open(const std::string& folder) {
  WeightFiles files;
  std::map<std::string, std::string> index;
  const std::string index_path = folder + "/" + kIndex;
  std::set<std::string> names = {kOneFile};
  if (std::filesystem::exists(index_path)) {
    SKERRY_ASSIGN_OR_RETURN(index, ReadIndex(index_path));
    names.clear();
    for (const auto& [tensor, file] : index) names.insert(file);
  } else if (!std::filesystem::exists(folder + "/" + kOneFile)) {
    return absl::NotFoundError(
        fmt::format("{} has neither {} nor {}: expected a folder in the Hugging Face layout",
                    folder, kOneFile, kIndex));
  }
  for (const std::string& name : names) SKERRY_RETURN_IF_ERROR(files.Add(folder, name));
  for (const auto& [tensor, file] : index) {
    const auto found = files.tensors_.find(tensor);
    if (found != files.tensors_.end() && found->second.file == file) continue;
    return absl::InvalidArgumentError(
        fmt::format("{} says that {} is in {}, which does not have it", index_path, tensor, file));
  }
  SKERRY_ASSIGN_OR_RETURN(const auto sums, ReadSums(folder));
  size_t place = 0;
  for (const std::string& name : names) {
    const auto sum = sums.find(name);
    const std::span<const uint8_t> bytes = files.mappings_[place++]->bytes();
    if (sum == sums.end()) continue;
    if (const std::string got = HexOf(Sha256Of(bytes)); got != sum->second) {
      return absl::DataLossError(
          fmt::format("{}/{} has the SHA-256 {}, {} says {}: fetch the file again", folder, name,
                      got, kSums, sum->second));
    }
  }
  return files;
}

}  // namespace skerry
