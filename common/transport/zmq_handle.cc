#include "common/transport/zmq_handle.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <poll.h>

#include <fmt/format.h>
#include <zmq.h>

#include "common/base/bytes.h"
#include "common/base/status.h"

namespace skerry {
namespace {

int Milliseconds(Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return static_cast<int>(std::clamp<int64_t>(ms, 0, std::numeric_limits<int>::max()));
}

int WholeSeconds(Duration duration) {
  return static_cast<int>(std::chrono::ceil<std::chrono::seconds>(duration).count());
}

}  // namespace

absl::Status ZmqErrorStatus(std::string_view what) {
  const int error_number = ::zmq_errno();
  const std::string message = fmt::format("{}: {}", what, ::zmq_strerror(error_number));
  switch (error_number) {
    case EINVAL:
    case ENODEV:
    case EPROTONOSUPPORT:
      return absl::InvalidArgumentError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case EADDRINUSE:
      return absl::AlreadyExistsError(message);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

absl::StatusOr<ZmqContext> ZmqContext::Create(int io_threads) {
  void* handle = ::zmq_ctx_new();
  if (handle == nullptr) return ZmqErrorStatus("cannot start ZeroMQ");
  ZmqContext context(handle);
  if (::zmq_ctx_set(handle, ZMQ_IO_THREADS, io_threads) != 0) {
    return ZmqErrorStatus(fmt::format("cannot use {} ZeroMQ I/O threads", io_threads));
  }
  return context;
}

ZmqContext::~ZmqContext() {
  if (handle_ == nullptr) return;
  while (::zmq_ctx_term(handle_) != 0 && ::zmq_errno() == EINTR) {
  }
}

absl::StatusOr<ZmqSocket> ZmqSocket::Create(const ZmqContext& context, int type) {
  void* handle = ::zmq_socket(context.get(), type);
  if (handle == nullptr) return ZmqErrorStatus("cannot create a ZeroMQ socket");
  ZmqSocket socket(handle, -1);
  size_t size = sizeof(socket.fd_);
  if (::zmq_getsockopt(handle, ZMQ_FD, &socket.fd_, &size) != 0) {
    return ZmqErrorStatus("cannot poll a ZeroMQ socket");
  }
  SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_LINGER, 0));
  return socket;
}

ZmqSocket& ZmqSocket::operator=(ZmqSocket&& other) noexcept {
  if (this != &other) {
    Close();
    handle_ = std::exchange(other.handle_, nullptr);
    fd_ = other.fd_;
  }
  return *this;
}

void ZmqSocket::Close() {
  if (handle_ == nullptr) return;
  // ZeroMQ closes later, in a thread of its own, and until then goes on reporting by sends that
  // block: one that is made after the monitor's receiver has gone would hold up every connection
  // of the context for ever.
  ::zmq_socket_monitor(handle_, nullptr, 0);
  ::zmq_close(std::exchange(handle_, nullptr));
}

absl::Status ZmqSocket::Set(int option, int value) {
  if (::zmq_setsockopt(handle_, option, &value, sizeof(value)) == 0) return absl::OkStatus();
  return ZmqErrorStatus(fmt::format("cannot set ZeroMQ option {} to {}", option, value));
}

absl::Status ZmqSocket::Set(int option, int64_t value) {
  if (::zmq_setsockopt(handle_, option, &value, sizeof(value)) == 0) return absl::OkStatus();
  return ZmqErrorStatus(fmt::format("cannot set ZeroMQ option {} to {}", option, value));
}

absl::Status ZmqSocket::Set(int option, std::string_view value) {
  // The value may be a secret, so it is not part of the message.
  if (::zmq_setsockopt(handle_, option, value.data(), value.size()) == 0) return absl::OkStatus();
  return ZmqErrorStatus(fmt::format("cannot set ZeroMQ option {}", option));
}

absl::Status ZmqSocket::Apply(const LinkOptions& options) {
  // CURVE adds 33 bytes to a frame (RFC 26), which the limit sees too.
  constexpr size_t kCurveOverheadBytes = 64;
  const auto frame_bytes_max = static_cast<int64_t>(
      std::max(options.envelope_bytes_max, options.raw_bytes_max) + kCurveOverheadBytes);
  SKERRY_RETURN_IF_ERROR(Set(ZMQ_MAXMSGSIZE, frame_bytes_max));
  const std::pair<int, int> settings[] = {
      {ZMQ_SNDHWM, options.send_messages_max},
      {ZMQ_RCVHWM, options.receive_messages_max},
      {ZMQ_HANDSHAKE_IVL, Milliseconds(options.handshake_timeout)},
      {ZMQ_CONNECT_TIMEOUT, Milliseconds(options.handshake_timeout)},
      {ZMQ_TCP_KEEPALIVE, 1},
      {ZMQ_TCP_KEEPALIVE_IDLE, WholeSeconds(options.probe_interval)},
      {ZMQ_TCP_KEEPALIVE_INTVL, WholeSeconds(options.probe_interval)},
      // With it, how many probes are sent no longer counts.
      {ZMQ_TCP_MAXRT, Milliseconds(options.probe_timeout)},
      {ZMQ_IPV6, 1},
  };
  for (const auto& [option, value] : settings) SKERRY_RETURN_IF_ERROR(Set(option, value));
  if (options.socket_buffer_bytes > 0) {
    SKERRY_RETURN_IF_ERROR(Set(ZMQ_SNDBUF, options.socket_buffer_bytes));
    SKERRY_RETURN_IF_ERROR(Set(ZMQ_RCVBUF, options.socket_buffer_bytes));
  }
  return absl::OkStatus();
}

absl::Status ZmqSocket::Bind(const std::string& address) {
  if (::zmq_bind(handle_, address.c_str()) == 0) return absl::OkStatus();
  return ZmqErrorStatus(fmt::format("cannot listen at {}", address));
}

absl::Status ZmqSocket::Connect(const std::string& address) {
  if (::zmq_connect(handle_, address.c_str()) == 0) return absl::OkStatus();
  return ZmqErrorStatus(fmt::format("cannot connect to {}", address));
}

absl::StatusOr<std::string> ZmqSocket::LastEndpoint() const {
  std::array<char, 512> text = {};
  size_t size = text.size();
  if (::zmq_getsockopt(handle_, ZMQ_LAST_ENDPOINT, text.data(), &size) != 0) {
    return ZmqErrorStatus("cannot read the bound address");
  }
  return std::string(text.data());
}

int ZmqSocket::Events() const {
  int events = 0;
  size_t size = sizeof(events);
  int result = 0;
  do {
    result = ::zmq_getsockopt(handle_, ZMQ_EVENTS, &events, &size);
  } while (result != 0 && ::zmq_errno() == EINTR);
  SKERRY_ASSERT(result == 0);
  return events;
}

bool ZmqSocket::IsReadable() const { return (Events() & ZMQ_POLLIN) != 0; }
bool ZmqSocket::IsWritable() const { return (Events() & ZMQ_POLLOUT) != 0; }

absl::StatusOr<ZmqMonitor> ZmqMonitor::Create(const ZmqContext& context, const ZmqSocket& socket,
                                              int events) {
  // Monitors of closed sockets vanish a little later, so each gets a name of its own.
  static std::atomic<uint64_t> count{0};
  const std::string address = fmt::format("inproc://monitor-{}", ++count);
  if (::zmq_socket_monitor(socket.get(), address.c_str(), events) != 0) {
    return ZmqErrorStatus("cannot monitor a ZeroMQ socket");
  }
  SKERRY_ASSIGN_OR_RETURN(ZmqSocket receiver, ZmqSocket::Create(context, ZMQ_PAIR));
  // Without a limit, because ZeroMQ's I/O thread would wait inside its event otherwise.
  SKERRY_RETURN_IF_ERROR(receiver.Set(ZMQ_RCVHWM, 0));
  SKERRY_RETURN_IF_ERROR(receiver.Connect(address));
  return ZmqMonitor(std::move(receiver));
}

std::optional<MonitorEvent> ZmqMonitor::Next() {
  zmq_msg_t frame;
  ::zmq_msg_init(&frame);
  if (::zmq_msg_recv(&frame, receiver_.get(), ZMQ_DONTWAIT) < 0) {
    ::zmq_msg_close(&frame);
    return std::nullopt;
  }
  const auto* data = static_cast<const uint8_t*>(::zmq_msg_data(&frame));
  SKERRY_ASSERT(::zmq_msg_size(&frame) == 6 && ::zmq_msg_more(&frame));
  const MonitorEvent event = {LoadLittleEndian<uint16_t>(data),
                              LoadLittleEndian<uint32_t>(data + 2)};
  // The address follows. Frames of one message arrive together.
  SKERRY_ASSERT(::zmq_msg_recv(&frame, receiver_.get(), ZMQ_DONTWAIT) >= 0);
  ::zmq_msg_close(&frame);
  return event;
}

void WaitReadable(std::initializer_list<int> fds, Duration timeout) {
  std::array<pollfd, 4> entries = {};
  SKERRY_ASSERT(fds.size() <= entries.size());
  size_t count = 0;
  for (const int fd : fds) entries[count++] = {fd, POLLIN, 0};
  static_cast<void>(::poll(entries.data(), count, Milliseconds(timeout)));
}

}  // namespace skerry
