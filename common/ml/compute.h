// What a worker computes on. LibTorch stays inside the library.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace skerry {

struct ComputeConfig {
  std::string device = "cpu";  // or cuda:N
  int threads = 1;             // for one worker's arithmetic; more than 1 gives up exact replay
};

// Fails with kInvalidArgument if `device` is no device's name, and with kFailedPrecondition if this
// LibTorch or this machine does not have it. Looks at the machine only for a device beside "cpu".
absl::Status CheckDevice(const std::string& device);

// Sets the number of threads of the calling thread's LibTorch arithmetic and of the process's
// matrix products (one setting for all workers), and has the process keep up to 64 MiB of freed
// memory. Called by whatever is about to compute.
void PrepareCompute(int threads);

}  // namespace skerry
