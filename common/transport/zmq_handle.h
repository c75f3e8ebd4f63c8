// Ownership of ZeroMQ's context and sockets. Internal to this library: nothing else includes zmq.h.
//
// The C interface is used because every outcome of a send, "would block" and "no such peer" among
// them, is an ordinary return value there.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/transport/link_options.h"

namespace skerry {

// "what: ZeroMQ's reason" for the current errno.
absl::Status ZmqErrorStatus(std::string_view what);

class ZmqContext {
 public:
  static absl::StatusOr<ZmqContext> Create(int io_threads);
  // Waits until every socket is closed and has lingered.
  ~ZmqContext();
  ZmqContext(ZmqContext&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ZmqContext& operator=(ZmqContext&&) = delete;
  void* get() const { return handle_; }

 private:
  explicit ZmqContext(void* handle) : handle_(handle) {}
  void* handle_;
};

// Used by the thread that made it. Sockets drop what is unsent when closed, unless told otherwise.
class ZmqSocket {
 public:
  static absl::StatusOr<ZmqSocket> Create(const ZmqContext& context, int type);
  ~ZmqSocket() { Close(); }
  ZmqSocket(ZmqSocket&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), fd_(other.fd_) {}
  ZmqSocket& operator=(ZmqSocket&& other) noexcept;

  void* get() const { return handle_; }
  // Readable when something may have happened; then ask IsReadable or receive until nothing comes.
  int fd() const { return fd_; }

  absl::Status Set(int option, int value);
  absl::Status Set(int option, std::string_view value);
  absl::Status Set(int option, int64_t value);
  // Limits, probes and buffers of `options`.
  absl::Status Apply(const LinkOptions& options);
  absl::Status Bind(const std::string& address);
  absl::Status Connect(const std::string& address);
  // The address just bound, with the port the system chose.
  absl::StatusOr<std::string> LastEndpoint() const;
  // Handle pending commands and tell what is possible now.
  bool IsReadable() const;
  bool IsWritable() const;
  void Close();

 private:
  ZmqSocket(void* handle, int fd) : handle_(handle), fd_(fd) {}
  int Events() const;
  void* handle_;
  int fd_;
};

struct MonitorEvent {
  uint16_t event = 0;
  uint32_t value = 0;
};

// Reports what happens to the connections of one socket. Made before the socket binds or connects,
// so nothing is missed; must outlive the socket, which reports until it is closed.
class ZmqMonitor {
 public:
  static absl::StatusOr<ZmqMonitor> Create(const ZmqContext& context, const ZmqSocket& socket,
                                           int events);
  std::optional<MonitorEvent> Next();
  int fd() const { return receiver_.fd(); }

 private:
  explicit ZmqMonitor(ZmqSocket receiver) : receiver_(std::move(receiver)) {}
  ZmqSocket receiver_;
};

// Waits until one of the descriptors is readable, a signal arrives or `timeout` is over.
void WaitReadable(std::initializer_list<int> fds, Duration timeout);

}  // namespace skerry
