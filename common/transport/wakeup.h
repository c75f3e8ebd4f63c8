// Lets another thread end an endpoint's Poll early, for example a worker that has finished.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/base/file.h"

namespace skerry {

// A handle; copies wake the same endpoint and may outlive it.
class Wakeup {
 public:
  static absl::StatusOr<Wakeup> Create();

  // From any thread. Calls before the next Poll are one.
  void Notify() const;

  // For the endpoint: readable while a call is pending.
  int fd() const { return event_->get(); }
  // For the endpoint: takes all calls so far; false if there was none.
  bool Take() const;

 private:
  explicit Wakeup(FileDescriptor event)
      : event_(std::make_shared<FileDescriptor>(std::move(event))) {}
  std::shared_ptr<FileDescriptor> event_;
};

}  // namespace skerry
