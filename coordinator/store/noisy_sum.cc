#include "coordinator/store/noisy_sum.h"

#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "coordinator/store/schema.h"

namespace skerry {
namespace {

constexpr std::string_view kPrefix = "noisy-sum-";
// A list of the nodes of the largest round, each name with its quotes.
constexpr size_t kSurvivorBytesMax = 8 << 20;

std::string PathOf(const std::string& run_dir, NoisySumKey key) {
  return fmt::format("{}/state/{}{:06}-{}", run_dir, kPrefix, key.round.value(),
                     key.attempt.value());
}

}  // namespace

// The coordinates, then the survivors as text to the end of the file.
absl::Status WriteNoisySum(const std::string& run_dir, NoisySumKey key,
                           std::span<const NodeId> survivors, std::span<const uint32_t> ring_sum) {
  SKERRY_RETURN_IF_ERROR(MakeDirectories(run_dir + "/state"));
  const std::string names = EncodeNodes(survivors);
  SKERRY_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(PathOf(run_dir, key), 0600));
  SKERRY_RETURN_IF_ERROR(file.Write(AsBytes(ring_sum)));
  SKERRY_RETURN_IF_ERROR(
      file.Write({reinterpret_cast<const uint8_t*>(names.data()), names.size()}));
  return file.CommitNew();
}

absl::StatusOr<std::optional<NoisySum>> ReadNoisySum(const std::string& run_dir, NoisySumKey key,
                                                     size_t size) {
  const std::string path = PathOf(run_dir, key);
  const size_t sum_bytes = size * sizeof(uint32_t);
  const absl::StatusOr<std::string> bytes = ReadFile(path, sum_bytes + kSurvivorBytesMax);
  if (absl::IsNotFound(bytes.status())) return std::nullopt;
  SKERRY_RETURN_IF_ERROR(bytes.status());
  if (bytes->size() <= sum_bytes) {
    return absl::DataLossError(
        fmt::format("{}: {} bytes, expected more than {}: the noisy sum of "
                    "round {} cannot be used",
                    path, bytes->size(), sum_bytes, key.round.value()));
  }
  NoisySum noisy;
  SKERRY_ASSIGN_OR_RETURN(noisy.survivors, DecodeNodes(bytes->substr(sum_bytes)));
  noisy.ring_sum.resize(size);
  std::memcpy(noisy.ring_sum.data(), bytes->data(), sum_bytes);
  return noisy;
}

void RemoveNoisySums(const std::string& run_dir) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir + "/state", ignored)) {
    if (!entry.path().filename().string().starts_with(kPrefix)) continue;
    std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace skerry
