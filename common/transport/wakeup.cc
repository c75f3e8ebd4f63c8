#include "common/transport/wakeup.h"

#include <cerrno>
#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/status.h"

namespace skerry {

absl::StatusOr<Wakeup> Wakeup::Create() {
  FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.is_open()) return ErrnoStatus(errno, "cannot create an event descriptor");
  return Wakeup(std::move(event));
}

void Wakeup::Notify() const {
  const uint64_t one = 1;
  ssize_t written = 0;
  do {
    written = ::write(fd(), &one, sizeof(one));
  } while (written < 0 && errno == EINTR);
  // A full counter (EAGAIN) is already a pending call.
  SKERRY_ASSERT(written == sizeof(one) || errno == EAGAIN);
}

bool Wakeup::Take() const {
  uint64_t count = 0;
  return ::read(fd(), &count, sizeof(count)) == sizeof(count);
}

}  // namespace skerry
