// One coordinator per run directory. The lock belongs to the open file, so it is gone when the
// process is, however it ended; the file itself stays and holds the last owner's process id.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/file.h"

namespace skerry {

class RunLock {
 public:
  // Fails with kFailedPrecondition, naming the owner, while another process holds it.
  static absl::StatusOr<RunLock> Acquire(const std::string& run_dir);

  // The process id of the owner, empty if nobody holds the lock. Takes no lock itself, so that
  // `status` can never get in a coordinator's way.
  static std::optional<int> Owner(const std::string& run_dir);

 private:
  explicit RunLock(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

}  // namespace skerry
