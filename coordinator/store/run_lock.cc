#include "coordinator/store/run_lock.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

std::string LockPath(const std::string& run_dir) { return run_dir + "/lock"; }

struct flock WholeFile(short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

absl::StatusOr<RunLock> RunLock::Acquire(const std::string& run_dir) {
  const std::string path = LockPath(run_dir);
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file.is_open()) return ErrnoStatus(errno, fmt::format("cannot open {}", path));

  // A lock of the open file description: it also excludes a second store in the same process, and
  // closing another descriptor of the file does not lose it.
  struct flock lock = WholeFile(F_WRLCK);
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) {
      return ErrnoStatus(errno, fmt::format("cannot lock {}", path));
    }
    const auto owner = Owner(run_dir);
    return absl::FailedPreconditionError(fmt::format(
        "{} is in use by another coordinator ({}); stop it first or choose another run directory",
        run_dir, owner.has_value() ? fmt::format("process {}", *owner) : "process unknown"));
  }

  const std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return ErrnoStatus(errno, fmt::format("cannot write {}", path));
  }
  return RunLock(std::move(file));
}

std::optional<int> RunLock::Owner(const std::string& run_dir) {
  const std::string path = LockPath(run_dir);
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return std::nullopt;
  struct flock lock = WholeFile(F_RDLCK);
  if (::fcntl(file.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  const auto text = ReadFile(path, 64);
  return text.ok() ? std::atoi(text->c_str()) : 0;
}

}  // namespace skerry
