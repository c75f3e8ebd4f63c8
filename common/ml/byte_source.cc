#include "common/ml/byte_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <zlib.h>

#include "common/base/file.h"
#include "common/base/status.h"

namespace skerry {
namespace {

constexpr unsigned kBufferBytes = 256 * 1024;
constexpr uint64_t kReadOverMax = 64 * 1024;
// zlib's technical details: deflate reaches 1032:1 at best.
constexpr uint64_t kDeflateRatioMax = 1032;

}  // namespace

void ByteSource::Close::operator()(gzFile_s* file) const { gzclose_r(file); }

absl::StatusOr<ByteSource> ByteSource::Open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, fmt::format("cannot open {}", path));
  struct stat info = {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return absl::InvalidArgumentError(fmt::format("{} is not a file", path));
  }
  gzFile file = gzdopen(fd, "rb");
  if (file == nullptr) {
    ::close(fd);
    return absl::ResourceExhaustedError(fmt::format("no memory to read {}", path));
  }
  gzbuffer(file, kBufferBytes);
  const auto file_bytes = static_cast<uint64_t>(info.st_size);
  const bool is_plain = gzdirect(file) != 0;
  return ByteSource(path, file, is_plain ? file_bytes : file_bytes * kDeflateRatioMax);
}

absl::Status ByteSource::ReadError() {
  int code = Z_OK;
  const char* text = gzerror(file_.get(), &code);
  if (code == Z_OK || code == Z_STREAM_END) return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("{} is damaged or cut off ({}): get it again", path_, text));
}

absl::StatusOr<size_t> ByteSource::Read(void* to, size_t size) {
  size_t total = 0;
  while (total < size) {
    const auto step = static_cast<unsigned>(std::min<size_t>(size - total, 1u << 30));
    const int got = gzread(file_.get(), static_cast<uint8_t*>(to) + total, step);
    if (got <= 0) {
      SKERRY_RETURN_IF_ERROR(ReadError());
      break;
    }
    total += static_cast<size_t>(got);
  }
  return total;
}

absl::Status ByteSource::ReadExactly(void* to, size_t size, const std::string& what) {
  SKERRY_ASSIGN_OR_RETURN(const size_t got, Read(to, size));
  if (got != size) {
    return absl::DataLossError(
        fmt::format("{} is truncated: it ends within {}, {} bytes short", path_, what, size - got));
  }
  return absl::OkStatus();
}

absl::Status ByteSource::Skip(uint64_t size) {
  // zlib's seek throws its buffer away, even to stay where it is: near places are read up to, or a
  // file of a million rows would be read a hundred thousand times.
  std::array<uint8_t, kReadOverMax> passed;
  if (size <= passed.size()) return ReadExactly(passed.data(), size, "what is passed over");
  if (size > static_cast<uint64_t>(std::numeric_limits<z_off_t>::max()) ||
      gzseek(file_.get(), static_cast<z_off_t>(size), SEEK_CUR) < 0) {
    SKERRY_RETURN_IF_ERROR(ReadError());
    return absl::DataLossError(fmt::format("{}: cannot move {} bytes on", path_, size));
  }
  return absl::OkStatus();
}

absl::Status ByteSource::ExpectEnd() {
  uint8_t extra = 0;
  SKERRY_ASSIGN_OR_RETURN(const size_t got, Read(&extra, 1));
  if (got != 0) {
    return absl::InvalidArgumentError(
        fmt::format("{} is longer than its header says: not the file it claims to be", path_));
  }
  return absl::OkStatus();
}

}  // namespace skerry
