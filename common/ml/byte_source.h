// A file read from front to back, plain or compressed with gzip; which of the two is seen from its
// first bytes. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

struct gzFile_s;  // zlib's handle

namespace skerry {

class ByteSource {
 public:
  // Fails with kNotFound or kPermissionDenied, or kInvalidArgument for a folder.
  static absl::StatusOr<ByteSource> Open(const std::string& path);

  // Reads up to `size` bytes; fewer only at the end. A damaged or cut-off compressed file is
  // kDataLoss.
  absl::StatusOr<size_t> Read(void* to, size_t size);
  // Reads exactly `size` bytes; a shorter file is kDataLoss, which says what was being read.
  absl::Status ReadExactly(void* to, size_t size, const std::string& what);
  // Moves on; moving past the end shows in the next read. In a plain file nothing is read.
  absl::Status Skip(uint64_t size);
  // Fails with kInvalidArgument if there is something left. Also verifies a compressed file's
  // checksum.
  absl::Status ExpectEnd();
  // The most bytes that can come out: exact for a plain file, deflate's best ratio otherwise.
  // Lets a count from a header be doubted before memory is taken for it.
  uint64_t size_max() const { return size_max_; }

  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(gzFile_s* file) const;
  };
  ByteSource(std::string path, gzFile_s* file, uint64_t size_max)
      : path_(std::move(path)), file_(file), size_max_(size_max) {}
  absl::Status ReadError();

  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
  uint64_t size_max_;
};

}  // namespace skerry
