#include "coordinator/store/disk_space.h"

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

namespace skerry {
namespace {

constexpr uint64_t kRowBytes = 512;         // of a node in run.db
constexpr uint64_t kOtherBytes = 4u << 20;  // the write-ahead log, status, report
constexpr double kBytesInMegabyte = 1e6;

}  // namespace

uint64_t RoundBytes(const JobConfig& job, uint64_t parameter_count) {
  const uint64_t vector_bytes = 4 * parameter_count;
  const uint64_t checkpoint = 3 * vector_bytes;  // the model and two moments
  const uint64_t sums = 2 * vector_bytes;        // sealed, and with noise
  const uint64_t spool = static_cast<uint64_t>(job.transport.uploads_in_memory) * vector_bytes;
  return checkpoint + sums + spool + static_cast<uint64_t>(job.round.nodes) * kRowBytes +
         kOtherBytes;
}

absl::Status CheckDiskSpace(const std::string& folder, uint64_t bytes_needed) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (error) {
    return absl::InternalError(
        fmt::format("cannot ask for the free space of {}: {}", folder, error.message()));
  }
  if (space.available >= bytes_needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(fmt::format(
      "{} has {:.1f} MB free, a round may write {:.1f} MB: make room", folder,
      static_cast<double>(space.available) / kBytesInMegabyte,
      static_cast<double>(bytes_needed) / kBytesInMegabyte));
}

}  // namespace skerry
