#include "tests/fuzz/fuzz_support.h"

#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <unistd.h>

#include <fmt/format.h>
#include <malloc.h>

#include "common/base/file.h"
#include "common/base/status.h"
#include "tests/support/temporary_directory.h"

namespace {

std::atomic<size_t> bytes_in_use = 0;
std::atomic<size_t> bytes_peak = 0;

void* Take(size_t size) noexcept {
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) return nullptr;
  const size_t now = bytes_in_use += ::malloc_usable_size(memory);
  if (now > bytes_peak) bytes_peak = now;
  return memory;
}

void* TakeOrThrow(size_t size) {
  void* const memory = Take(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void Give(void* memory) noexcept {
  if (memory == nullptr) return;
  bytes_in_use -= ::malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

// Every form, because a sanitizer brings its own and would find the two mixed up.
void* operator new(size_t size) { return TakeOrThrow(size); }
void* operator new[](size_t size) { return TakeOrThrow(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return Take(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return Take(size); }
void operator delete(void* memory) noexcept { Give(memory); }
void operator delete[](void* memory) noexcept { Give(memory); }
void operator delete(void* memory, size_t) noexcept { Give(memory); }
void operator delete[](void* memory, size_t) noexcept { Give(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { Give(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { Give(memory); }

namespace skerry::fuzz {

std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

AllocationMeter::AllocationMeter() : start_bytes_(bytes_in_use) { bytes_peak = start_bytes_; }

size_t AllocationMeter::peak_bytes() const { return bytes_peak - start_bytes_; }

void CheckMemory(const AllocationMeter& meter, size_t input_bytes, MemoryBound bound) {
  const size_t allowed = bound.factor * input_bytes + bound.base;
  const size_t peak = meter.peak_bytes();
  if (peak <= allowed) return;
  fmt::print(stderr, "{} bytes were taken for an input of {}, {} are allowed\n", peak, input_bytes,
             allowed);
  std::abort();
}

void CheckRefusal(const absl::Status& status, size_t bytes_max) {
  SKERRY_ASSERT(!status.ok());
  SKERRY_ASSERT(!status.message().empty());
  SKERRY_ASSERT(status.message().size() <= bytes_max);
}

const std::string& ScratchFolder() {
  static const TemporaryDirectory folder;
  return folder.path();
}

std::string WriteScratch(const std::string& name, Bytes bytes) {
  std::string path = ScratchFolder() + "/" + name;
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  SKERRY_ASSERT(file.is_open());
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    SKERRY_ASSERT(written > 0);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return path;
}

std::string WriteScratch(const std::string& name, std::string_view text) {
  return WriteScratch(name, Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

std::string ReadScratch(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, size_t{1} << 30);
  SKERRY_ASSERT(text.ok());
  return *std::move(text);
}

}  // namespace skerry::fuzz
