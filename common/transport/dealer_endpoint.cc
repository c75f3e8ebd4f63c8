#include "common/transport/dealer_endpoint.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <string.h>
#include <zmq.h>

#include "common/base/status.h"
#include "common/transport/back_off.h"
#include "common/transport/outgoing_queue.h"
#include "common/transport/zmq_frames.h"
#include "common/transport/zmq_handle.h"

namespace skerry {
namespace {

constexpr size_t kPollMessagesMax = 256;
constexpr size_t kPollBytesMax = 16 << 20;
// ZeroMQ's own reconnecting would go on with the old messages and without our back-off. Switched
// off by -1 it would also throw away messages that were received and not yet read, the
// coordinator's last word among them; so it is put off beyond any link instead.
constexpr int kNeverMs = 24 * 3600 * 1000;
constexpr int kMonitoredEvents =
    ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED |
    ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
    ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
constexpr Duration kFlushStep = std::chrono::milliseconds(1);

bool IsTcp(const std::string& address) { return address.starts_with("tcp://"); }

absl::Status CheckOptions(const DealerOptions& options) {
  SKERRY_RETURN_IF_ERROR(options.link.Validate());
  if (options.retry_wait_min.count() <= 0 || options.retry_wait_min > options.retry_wait_max) {
    return absl::InvalidArgumentError("retry_wait_min must be above 0 and at most retry_wait_max");
  }
  if (!IsTcp(options.address) && !options.address.starts_with("ipc://")) {
    return absl::InvalidArgumentError(
        fmt::format("the coordinator's address must be tcp://host:port or ipc://path, got '{}'",
                    options.address));
  }
  if (!IsTcp(options.address)) return absl::OkStatus();
  if (!options.keys) {
    return absl::InvalidArgumentError(fmt::format(
        "{} needs this process's key pair and the coordinator's public key", options.address));
  }
  for (const std::string* key : {&options.keys->public_key_z85, &options.keys->secret_key_z85,
                                 &options.keys->coordinator_public_key_z85}) {
    if (key->size() != 40) {
      return absl::InvalidArgumentError("a CURVE key must be 40 characters of Z85");
    }
  }
  return absl::OkStatus();
}

}  // namespace

class DealerEndpoint::Impl {
 public:
  Impl(DealerOptions options, Rng rng, Wakeup wakeup, ZmqContext context)
      : wakeup_(std::move(wakeup)),
        options_(std::move(options)),
        rng_(rng),
        back_off_(options_.retry_wait_min, options_.retry_wait_max),
        queue_(options_.link.queue_bytes_max),
        context_(std::move(context)) {}
  ~Impl() {
    if (options_.keys) {
      ::explicit_bzero(options_.keys->secret_key_z85.data(), options_.keys->secret_key_z85.size());
    }
  }

  DealerPoll Poll(Duration timeout, Instant now);
  bool Send(Message message);
  bool TrySend(const Message& message);
  void Reconnect() { is_asked_to_reconnect_ = link_.has_value(); }
  void Close(Duration flush_timeout);
  // A first socket, unconnected, shows whether keys and limits are acceptable.
  absl::Status CheckSocket() { return MakeSocket().status(); }

  const Wakeup wakeup_;
  bool is_up_ = false;
  std::optional<Instant> retry_at_ = Instant::min();

 private:
  struct Link {
    ZmqMonitor monitor;
    ZmqSocket socket;
    bool is_connected = false;         // below ZeroMQ's handshake
    std::string handshake_error = {};  // empty: none so far
    bool was_closed = false;           // the attempt to connect failed
  };

  absl::StatusOr<ZmqSocket> MakeSocket();
  absl::Status Connect();
  void Work(DealerPoll& result, Instant now);
  // True if the link has ended; the reason is then in `reason`.
  bool HandleMonitor(DealerPoll& result, std::string& reason);
  void Receive(DealerPoll& result, bool is_last);
  void TakeDown(DealerPoll& result, Instant now, std::string reason);
  void FlushQueue();
  std::string ReasonOfLoss() const;

  DealerOptions options_;
  Rng rng_;
  BackOff back_off_;
  OutgoingQueue queue_;
  bool is_blocked_ = false;  // a TrySend was refused since the last may_send
  bool is_asked_to_reconnect_ = false;
  ZmqContext context_;  // before the link, so that it ends after it
  std::optional<Link> link_;
};

absl::StatusOr<ZmqSocket> DealerEndpoint::Impl::MakeSocket() {
  SKERRY_ASSIGN_OR_RETURN(ZmqSocket socket, ZmqSocket::Create(context_, ZMQ_DEALER));
  SKERRY_RETURN_IF_ERROR(socket.Apply(options_.link));
  SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_RECONNECT_IVL, kNeverMs));
  if (IsTcp(options_.address)) {
    const DealerKeys& keys = *options_.keys;
    SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_CURVE_SERVERKEY, keys.coordinator_public_key_z85));
    SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_CURVE_PUBLICKEY, keys.public_key_z85));
    SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_CURVE_SECRETKEY, keys.secret_key_z85));
  }
  return socket;
}

absl::Status DealerEndpoint::Impl::Connect() {
  SKERRY_ASSIGN_OR_RETURN(ZmqSocket socket, MakeSocket());
  SKERRY_ASSIGN_OR_RETURN(ZmqMonitor monitor,
                          ZmqMonitor::Create(context_, socket, kMonitoredEvents));
  SKERRY_RETURN_IF_ERROR(socket.Connect(options_.address));
  link_.emplace(Link{std::move(monitor), std::move(socket)});
  return absl::OkStatus();
}

DealerPoll DealerEndpoint::Impl::Poll(Duration timeout, Instant now) {
  DealerPoll result;
  if (retry_at_ && now >= *retry_at_) {
    retry_at_.reset();
    const absl::Status status = Connect();
    if (!status.ok()) TakeDown(result, now, std::string(status.message()));
  }
  Work(result, now);
  if (!result.is_empty()) return result;

  // Sending may have taken in the signal of a message that arrived meanwhile.
  if (link_ && !link_->socket.IsReadable()) {
    WaitReadable({wakeup_.fd(), link_->socket.fd(), link_->monitor.fd()}, timeout);
  } else if (!link_) {
    WaitReadable({wakeup_.fd()}, std::min(timeout, std::max(*retry_at_ - now, Duration(0))));
  }
  Work(result, now);
  return result;
}

void DealerEndpoint::Impl::Work(DealerPoll& result, Instant now) {
  if (wakeup_.Take()) result.was_woken = true;
  if (!link_) return;
  std::string reason;
  const bool has_ended = HandleMonitor(result, reason);
  if (is_up_) Receive(result, has_ended);
  const bool is_given_up = std::exchange(is_asked_to_reconnect_, false);
  if (is_given_up && !has_ended) reason = fmt::format("{}: connecting anew", options_.address);
  if (has_ended || is_given_up) {
    TakeDown(result, now, std::move(reason));
    return;
  }
  FlushQueue();
  if (is_blocked_ && queue_.is_empty() && link_->socket.IsWritable()) {
    is_blocked_ = false;
    result.may_send = true;
  }
}

bool DealerEndpoint::Impl::HandleMonitor(DealerPoll& result, std::string& reason) {
  while (const std::optional<MonitorEvent> event = link_->monitor.Next()) {
    switch (event->event) {
      case ZMQ_EVENT_CONNECTED:
        link_->is_connected = true;
        break;
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        is_up_ = true;
        result.is_link_up = true;
        back_off_.Reset();
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        link_->handshake_error =
            "the coordinator refused this process: is its public key in the roster?";
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        link_->handshake_error = fmt::format(
            "the handshake failed (ZeroMQ protocol error 0x{:x}): are both ends Skerry?",
            event->value);
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        if (link_->handshake_error.empty()) {
          link_->handshake_error =
              "the coordinator ended the handshake or did not answer: is its public key right?";
        }
        break;
      case ZMQ_EVENT_CLOSED:
        link_->was_closed = true;
        break;
      case ZMQ_EVENT_CONNECT_RETRIED:
      case ZMQ_EVENT_DISCONNECTED:
        reason = fmt::format("{}: {}", options_.address, ReasonOfLoss());
        return true;
      default:
        break;
    }
  }
  return false;
}

std::string DealerEndpoint::Impl::ReasonOfLoss() const {
  if (is_up_) return "connection lost";
  if (!link_->handshake_error.empty()) return link_->handshake_error;
  if (link_->is_connected) return "the connection was closed during the handshake";
  if (link_->was_closed) return "nobody answers there: is the coordinator running?";
  return "the address cannot be resolved or opened";
}

void DealerEndpoint::Impl::Receive(DealerPoll& result, bool is_last) {
  size_t bytes = 0;
  // What arrived before the end of the link is bounded by ZeroMQ's queue and is read in full.
  for (size_t count = 0; is_last || (count < kPollMessagesMax && bytes < kPollBytesMax); ++count) {
    std::optional<IncomingMessage> incoming = ReceiveFromDealer(link_->socket);
    if (!incoming) return;
    bytes += incoming->message.size();
    // Only a broken coordinator sends these. The session above notices what is missing.
    if (incoming->has_too_many_parts ||
        incoming->message.envelope.size() > options_.link.envelope_bytes_max) {
      continue;
    }
    result.messages.push_back(std::move(incoming->message));
  }
}

void DealerEndpoint::Impl::TakeDown(DealerPoll& result, Instant now, std::string reason) {
  link_.reset();
  is_up_ = false;
  is_blocked_ = false;
  queue_.Clear();
  retry_at_ = now + back_off_.Next(rng_);
  result.link_down = std::move(reason);
}

void DealerEndpoint::Impl::FlushQueue() {
  queue_.Flush([&](const Message& message) {
    return SendMessage(link_->socket, {}, message) == ZmqSendResult::kSent;
  });
}

bool DealerEndpoint::Impl::Send(Message message) {
  SKERRY_ASSERT(message.envelope.size() <= options_.link.envelope_bytes_max);
  SKERRY_ASSERT(!message.raw || message.raw->size() <= options_.link.raw_bytes_max);
  if (!is_up_) return false;
  if (queue_.is_empty() && SendMessage(link_->socket, {}, message) == ZmqSendResult::kSent) {
    return true;
  }
  return queue_.Push(std::move(message));
}

bool DealerEndpoint::Impl::TrySend(const Message& message) {
  SKERRY_ASSERT(message.envelope.size() <= options_.link.envelope_bytes_max);
  SKERRY_ASSERT(!message.raw || message.raw->size() <= options_.link.raw_bytes_max);
  if (!is_up_) return false;
  if (queue_.is_empty() && SendMessage(link_->socket, {}, message) == ZmqSendResult::kSent) {
    return true;
  }
  is_blocked_ = true;
  return false;
}

void DealerEndpoint::Impl::Close(Duration flush_timeout) {
  if (!link_ || !is_up_) return;
  // No clock here: the time is cut into waits, each of which counts in full even if it ends early.
  Duration left = flush_timeout;
  FlushQueue();
  while (!queue_.is_empty() && left >= kFlushStep) {
    WaitReadable({link_->socket.fd()}, kFlushStep);
    left -= kFlushStep;
    static_cast<void>(link_->socket.IsWritable());  // takes in what the descriptor announced
    FlushQueue();
  }
  const auto linger_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
  static_cast<void>(
      link_->socket.Set(ZMQ_LINGER, static_cast<int>(std::max<int64_t>(linger_ms, 0))));
}

absl::StatusOr<DealerEndpoint> DealerEndpoint::Create(DealerOptions options, Rng rng) {
  SKERRY_RETURN_IF_ERROR(CheckOptions(options));
  SKERRY_ASSIGN_OR_RETURN(Wakeup wakeup, Wakeup::Create());
  SKERRY_ASSIGN_OR_RETURN(ZmqContext context, ZmqContext::Create(options.link.io_threads));
  auto impl =
      std::make_unique<Impl>(std::move(options), rng, std::move(wakeup), std::move(context));
  SKERRY_RETURN_IF_ERROR(impl->CheckSocket());
  return DealerEndpoint(std::move(impl));
}

DealerEndpoint::DealerEndpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DealerEndpoint::~DealerEndpoint() = default;
DealerEndpoint::DealerEndpoint(DealerEndpoint&&) noexcept = default;

Wakeup DealerEndpoint::wakeup() const { return impl_->wakeup_; }
bool DealerEndpoint::is_up() const { return impl_->is_up_; }
std::optional<Instant> DealerEndpoint::next_retry() const { return impl_->retry_at_; }

DealerPoll DealerEndpoint::Poll(Duration timeout, Instant now) { return impl_->Poll(timeout, now); }
bool DealerEndpoint::Send(Message message) { return impl_->Send(std::move(message)); }
bool DealerEndpoint::TrySend(const Message& message) { return impl_->TrySend(message); }
void DealerEndpoint::Reconnect() { impl_->Reconnect(); }
void DealerEndpoint::Close(Duration flush_timeout) {
  if (impl_ == nullptr) return;
  impl_->Close(flush_timeout);
  impl_.reset();
}

}  // namespace skerry
