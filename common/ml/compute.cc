#include "common/ml/compute.h"

#include <charconv>
#include <mutex>
#include <string_view>

#include <dlfcn.h>
#include <fmt/format.h>
#include <malloc.h>
#include <torch/torch.h>

namespace skerry {
namespace {

// A step frees and takes the same activations again. By default glibc gives them back to the
// system each time, and the page faults cost up to a quarter of the processor time of training
// (measured with the built-in `cnn`). Blocks of 32 MiB and more, large models among them, still go
// back at once.
void KeepFreedMemory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

}  // namespace

absl::Status CheckDevice(const std::string& device) {
  if (device == "cpu") return absl::OkStatus();
  constexpr std::string_view kCuda = "cuda:";
  std::string_view text = device;
  int index = -1;
  if (text.starts_with(kCuda)) {
    text.remove_prefix(kCuda.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc() || end != text.data() + text.size()) index = -1;
  }
  if (index < 0) {
    return absl::InvalidArgumentError(
        fmt::format("device must be cpu or cuda:N, got \"{}\"", device));
  }
  if (!torch::cuda::is_available()) {
    return absl::FailedPreconditionError(fmt::format(
        "device {} is not available: this LibTorch has no CUDA or the machine no such card; use "
        "cpu, or a LibTorch built for CUDA",
        device));
  }
  const auto count = static_cast<int>(torch::cuda::device_count());
  if (index >= count) {
    return absl::FailedPreconditionError(fmt::format(
        "device {} is not available: this machine has cuda:0 to cuda:{}", device, count - 1));
  }
  return absl::OkStatus();
}

void PrepareCompute(int threads) {
  at::set_num_threads(threads);
  // LibTorch does not set the threads of OpenBLAS, which takes all cores by default: two workers
  // would fight, and the order of its sums would depend on the machine. Absent with another BLAS.
  using SetThreads = void (*)(int);
  static const auto set_threads =
      reinterpret_cast<SetThreads>(::dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  static std::mutex mutex;
  static int current = 0;
  const std::lock_guard lock(mutex);
  if (current == 0) KeepFreedMemory();
  if (set_threads != nullptr && current != threads) set_threads(threads);
  current = threads;
}

}  // namespace skerry
