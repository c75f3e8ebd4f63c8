// What fuzz targets share: memory that is counted, files to read inputs from, and the checks that
// hold for every refusal. A check that fails aborts, which is what a fuzzer calls a finding.
//
// A target is one function for one process: libFuzzer calls it millions of times, replay_test.cc
// once for each file of the corpus. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace skerry::fuzz {

using Bytes = std::span<const uint8_t>;

std::string_view AsText(Bytes bytes);

// The most memory that was in use at once since the meter was made, above what was in use then.
// Counts operator new, which this library replaces; zlib's own buffers do not count.
class AllocationMeter {
 public:
  AllocationMeter();
  size_t peak_bytes() const;

 private:
  size_t start_bytes_ = 0;
};

// factor x input + base. The base is for buffers of a fixed size and for what is made once.
struct MemoryBound {
  size_t factor = 0;
  size_t base = 0;
};
void CheckMemory(const AllocationMeter& meter, size_t input_bytes, MemoryBound bound);

// A refusal says why, in at most `bytes_max` bytes whatever the input was.
void CheckRefusal(const absl::Status& status, size_t bytes_max = 4096);

// A folder of this process in the temporary directory; scripts/fuzz lets that be memory.
const std::string& ScratchFolder();
// Puts `bytes` into the file `name` there, mode 0600, and gives its path.
std::string WriteScratch(const std::string& name, Bytes bytes);
std::string WriteScratch(const std::string& name, std::string_view text);
std::string ReadScratch(const std::string& path);

// The parts of an input, front to back. What is not there reads as zero or empty.
class InputReader {
 public:
  explicit InputReader(Bytes bytes) : rest_(bytes) {}
  template <typename T>
  T Number() {
    T value = 0;
    for (size_t i = 0; i < sizeof(T) && !rest_.empty(); ++i) {
      value = static_cast<T>(value | static_cast<T>(static_cast<T>(rest_[0]) << (8 * i)));
      rest_ = rest_.subspan(1);
    }
    return value;
  }
  Bytes Take(size_t size) {
    const Bytes taken = rest_.first(size < rest_.size() ? size : rest_.size());
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  Bytes Rest() { return Take(rest_.size()); }
  bool is_empty() const { return rest_.empty(); }

 private:
  Bytes rest_;
};

}  // namespace skerry::fuzz
