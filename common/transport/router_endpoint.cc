#include "common/transport/router_endpoint.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <set>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <zmq.h>

#include "common/base/status.h"
#include "common/transport/outgoing_queue.h"
#include "common/transport/zap_handler.h"
#include "common/transport/zmq_frames.h"
#include "common/transport/zmq_handle.h"

namespace skerry {
namespace {

// One Poll returns at most about this much, so that timers and sends get their turn.
constexpr size_t kPollMessagesMax = 256;
constexpr size_t kPollBytesMax = 16 << 20;
constexpr size_t kPollRefusedMax = 64;
// Connections the kernel holds until they are accepted: a thousand agents may start at once.
constexpr int kBacklog = 4096;
// ROUTER cannot say that one peer can take messages again. Its descriptor mostly tells when to
// look; in case that signal was used up by another call, we also look after these waits.
constexpr Duration kRetryWaitMin = std::chrono::milliseconds(1);
constexpr Duration kRetryWaitMax = std::chrono::milliseconds(32);
// Peers whose last messages may still turn up after their end was reported.
constexpr size_t kDepartedMax = 256;

bool IsTcp(const std::string& address) { return address.starts_with("tcp://"); }
bool IsIpc(const std::string& address) { return address.starts_with("ipc://"); }

void RaiseOpenFileLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

// ZeroMQ gives peers that choose no routing id a zero byte and a counter.
bool IsOwnRoutingId(std::string_view id) { return id.size() == 5 && id[0] == '\0'; }

absl::Status CheckOptions(const RouterOptions& options) {
  SKERRY_RETURN_IF_ERROR(options.link.Validate());
  if (options.addresses.empty()) return absl::InvalidArgumentError("no address to listen at");
  for (const std::string& address : options.addresses) {
    if (!IsTcp(address) && !IsIpc(address)) {
      return absl::InvalidArgumentError(
          fmt::format("an address must be tcp://host:port or ipc://path, got '{}'", address));
    }
    if (IsTcp(address) && (options.secret_key_z85.size() != 40 || !options.authenticate)) {
      return absl::InvalidArgumentError(fmt::format(
          "{} needs the coordinator's secret key (40 characters of Z85) and a roster", address));
    }
  }
  return absl::OkStatus();
}

absl::Status BindOne(ZmqSocket& socket, const std::string& address, const RouterOptions& options) {
  if (IsTcp(address)) {
    SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_CURVE_SECRETKEY, options.secret_key_z85));
    SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_CURVE_SERVER, 1));
    SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_ZAP_DOMAIN, ZapHandler::kTcpDomain));
    return socket.Bind(address);
  }
  // A listener keeps the settings it was bound with, so one socket serves both kinds.
  SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_CURVE_SERVER, 0));
  SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_ZAP_DOMAIN, ZapHandler::kIpcDomain));
  // The file is never open to others, not even for a moment. The mask belongs to the process; a
  // file another thread creates right now would only be more private.
  const mode_t mask_before = ::umask(0177);
  absl::Status status = socket.Bind(address);
  ::umask(mask_before);
  return status;
}

}  // namespace

class RouterEndpoint::Impl {
 public:
  Impl(ZmqContext context, ZmqSocket socket, ZmqMonitor monitor, ZapHandler zap, Wakeup wakeup,
       const LinkOptions& options)
      : options_(options),
        wakeup_(std::move(wakeup)),
        context_(std::move(context)),
        zap_(std::move(zap)),
        monitor_(std::move(monitor)),
        socket_(std::move(socket)) {}

  RouterPoll Poll(Duration timeout);
  SendResult Send(PeerId id, Message message);
  SendResult TrySend(PeerId id, const Message& message);
  void Forget(PeerId id);
  void Close(Duration flush_timeout);

  size_t peer_count() const { return peers_.size() - forgotten_count_; }

  std::vector<std::string> addresses_;
  const LinkOptions options_;
  const Wakeup wakeup_;

 private:
  struct Peer {
    std::string routing_id;
    ProcessName process;
    int fd = -1;
    bool is_forgotten = false;
    OutgoingQueue queue;
  };

  void Work(RouterPoll& result);
  void DrainMonitor();
  void Receive(RouterPoll& result);
  void Accept(IncomingMessage incoming, RouterPoll& result);
  Peer* FindOrRegister(const IncomingMessage& incoming, PeerId& id);
  void FlushQueues();
  void MarkDeparting(PeerId id) { departing_.insert(id); }
  void ReportDepartures(RouterPoll& result);
  void Erase(PeerId id);
  void GiveUp(PeerId id, PeerGoneReason reason);
  ZmqSendResult SendNow(PeerId id, const Peer& peer, const Message& message);
  // Queues or a blocked TrySend: someone waits for a peer to read.
  bool IsWaitingToSend() const { return is_bulk_blocked_ || !queued_.empty(); }
  Duration ShortenedByRetry(Duration timeout);

  ZmqContext context_;  // before the sockets, so that it ends after them
  ZapHandler zap_;
  ZmqMonitor monitor_;
  ZmqSocket socket_;

  uint64_t last_peer_id_ = 0;
  std::unordered_map<PeerId, Peer> peers_;
  std::unordered_map<std::string, PeerId> by_routing_id_;
  std::unordered_map<int, PeerId> by_fd_;
  size_t forgotten_count_ = 0;
  std::set<PeerId> queued_;
  // Their connection has ended; reported once their last messages were read.
  std::set<PeerId> departing_;
  std::deque<std::string> departed_routing_ids_;
  std::vector<PeerGone> given_up_;

  bool is_bulk_blocked_ = false;
  Duration retry_wait_ = kRetryWaitMin;
};

RouterPoll RouterEndpoint::Impl::Poll(Duration timeout) {
  RouterPoll result;
  Work(result);
  if (result.is_empty()) {
    // Sending may have taken in the signal of a message that arrived meanwhile, or met a peer that
    // is gone: neither would end the wait.
    const bool has_more = !departing_.empty() || socket_.IsReadable();
    if (!has_more) {
      WaitReadable({wakeup_.fd(), socket_.fd(), monitor_.fd(), zap_.fd()},
                   ShortenedByRetry(timeout));
    }
    Work(result);
  }
  result.may_send = std::exchange(is_bulk_blocked_, false);
  return result;
}

Duration RouterEndpoint::Impl::ShortenedByRetry(Duration timeout) {
  if (!IsWaitingToSend()) {
    retry_wait_ = kRetryWaitMin;
    return timeout;
  }
  const Duration wait = std::min(timeout, retry_wait_);
  retry_wait_ = std::min(retry_wait_ * 2, kRetryWaitMax);
  return wait;
}

void RouterEndpoint::Impl::Work(RouterPoll& result) {
  if (wakeup_.Take()) result.was_woken = true;
  zap_.Work(result.refused, kPollRefusedMax);
  DrainMonitor();
  Receive(result);
  FlushQueues();
  result.gone.insert(result.gone.end(), given_up_.begin(), given_up_.end());
  given_up_.clear();
}

void RouterEndpoint::Impl::DrainMonitor() {
  while (const std::optional<MonitorEvent> event = monitor_.Next()) {
    const auto found = by_fd_.find(static_cast<int>(event->value));
    if (found == by_fd_.end()) continue;  // it never got as far as a message
    MarkDeparting(found->second);
    by_fd_.erase(found);
  }
}

void RouterEndpoint::Impl::Receive(RouterPoll& result) {
  size_t bytes = 0;
  for (size_t count = 0; count < kPollMessagesMax && bytes < kPollBytesMax; ++count) {
    std::optional<IncomingMessage> incoming = ReceiveFromRouter(socket_);
    if (!incoming) {
      // Everything that was sent before the end of a connection has been read by now.
      ReportDepartures(result);
      return;
    }
    bytes += incoming->message.size();
    Accept(*std::move(incoming), result);
  }
}

void RouterEndpoint::Impl::Accept(IncomingMessage incoming, RouterPoll& result) {
  PeerId id;
  const Peer* peer = FindOrRegister(incoming, id);
  if (peer == nullptr || peer->is_forgotten) return;
  const Message& message = incoming.message;
  if (incoming.has_too_many_parts || message.envelope.size() > options_.envelope_bytes_max ||
      (message.raw && message.raw->size() > options_.raw_bytes_max)) {
    GiveUp(id, PeerGoneReason::kBrokeFraming);
    return;
  }
  result.messages.push_back({id, peer->process, std::move(incoming.message)});
}

RouterEndpoint::Impl::Peer* RouterEndpoint::Impl::FindOrRegister(const IncomingMessage& incoming,
                                                                 PeerId& id) {
  const auto known = by_routing_id_.find(incoming.routing_id);
  if (known != by_routing_id_.end()) {
    id = known->second;
    return &peers_.at(id);
  }
  if (!IsOwnRoutingId(incoming.routing_id)) return nullptr;  // it would choose its own identity
  if (std::find(departed_routing_ids_.begin(), departed_routing_ids_.end(), incoming.routing_id) !=
      departed_routing_ids_.end()) {
    return nullptr;
  }
  // The kernel reuses descriptors. The end of the connection that had this one before happened
  // before this connection began, so its event is there: take it in first.
  DrainMonitor();
  ConnectionFacts facts = FactsOf(incoming.message.envelope);
  id = PeerId(++last_peer_id_);
  by_routing_id_.emplace(incoming.routing_id, id);
  if (facts.fd >= 0) by_fd_[facts.fd] = id;
  return &peers_
              .emplace(id, Peer{.routing_id = incoming.routing_id,
                                .process = ProcessName(std::move(facts.user_id)),
                                .fd = facts.fd,
                                .queue = OutgoingQueue(options_.queue_bytes_max)})
              .first->second;
}

void RouterEndpoint::Impl::ReportDepartures(RouterPoll& result) {
  for (const PeerId id : departing_) {
    const auto found = peers_.find(id);
    if (found == peers_.end()) continue;
    if (!found->second.is_forgotten) result.gone.push_back({id, PeerGoneReason::kDisconnected});
    Erase(id);
  }
  departing_.clear();
}

void RouterEndpoint::Impl::Erase(PeerId id) {
  const auto found = peers_.find(id);
  Peer& peer = found->second;
  departed_routing_ids_.push_back(peer.routing_id);
  if (departed_routing_ids_.size() > kDepartedMax) departed_routing_ids_.pop_front();
  by_routing_id_.erase(peer.routing_id);
  const auto by_fd = by_fd_.find(peer.fd);
  if (by_fd != by_fd_.end() && by_fd->second == id) by_fd_.erase(by_fd);
  if (peer.is_forgotten) --forgotten_count_;
  queued_.erase(id);
  peers_.erase(found);
}

// ZeroMQ cannot end one of a router's connections, and the peer would believe in it for ever; so it
// is ended below ZeroMQ, which then notices like the peer.
void RouterEndpoint::Impl::GiveUp(PeerId id, PeerGoneReason reason) {
  given_up_.push_back({id, reason});
  Peer& peer = peers_.at(id);
  peer.queue.Clear();
  queued_.erase(id);
  Forget(id);
  DrainMonitor();  // a descriptor of a connection that has ended may be another's by now
  const auto by_fd = by_fd_.find(peer.fd);
  if (by_fd != by_fd_.end() && by_fd->second == id) ::shutdown(peer.fd, SHUT_RDWR);
}

void RouterEndpoint::Impl::FlushQueues() {
  for (auto it = queued_.begin(); it != queued_.end();) {
    const PeerId id = *it;
    Peer& peer = peers_.at(id);
    const bool is_flushed = peer.queue.Flush([&](const Message& message) {
      return SendNow(id, peer, message) != ZmqSendResult::kWouldBlock;
    });
    it = is_flushed ? queued_.erase(it) : std::next(it);
  }
}

// Messages for a peer without a connection are dropped; its end is reported by Poll.
ZmqSendResult RouterEndpoint::Impl::SendNow(PeerId id, const Peer& peer, const Message& message) {
  const ZmqSendResult result = SendMessage(socket_, peer.routing_id, message);
  if (result == ZmqSendResult::kSent) retry_wait_ = kRetryWaitMin;
  if (result == ZmqSendResult::kNoSuchPeer) MarkDeparting(id);
  return result;
}

SendResult RouterEndpoint::Impl::Send(PeerId id, Message message) {
  SKERRY_ASSERT(message.envelope.size() <= options_.envelope_bytes_max);
  SKERRY_ASSERT(!message.raw || message.raw->size() <= options_.raw_bytes_max);
  const auto found = peers_.find(id);
  if (found == peers_.end() || found->second.is_forgotten || departing_.contains(id)) {
    return SendResult::kPeerGone;
  }
  Peer& peer = found->second;
  if (peer.queue.is_empty()) {
    switch (SendNow(id, peer, message)) {
      case ZmqSendResult::kSent:
        return SendResult::kAccepted;
      case ZmqSendResult::kNoSuchPeer:
        return SendResult::kPeerGone;
      case ZmqSendResult::kWouldBlock:
        break;
    }
  }
  if (!peer.queue.Push(std::move(message))) {
    GiveUp(id, PeerGoneReason::kDoesNotRead);
    return SendResult::kPeerGone;
  }
  queued_.insert(id);
  return SendResult::kAccepted;
}

SendResult RouterEndpoint::Impl::TrySend(PeerId id, const Message& message) {
  SKERRY_ASSERT(message.envelope.size() <= options_.envelope_bytes_max);
  SKERRY_ASSERT(!message.raw || message.raw->size() <= options_.raw_bytes_max);
  const auto found = peers_.find(id);
  if (found == peers_.end() || found->second.is_forgotten || departing_.contains(id)) {
    return SendResult::kPeerGone;
  }
  const ZmqSendResult result = found->second.queue.is_empty() ? SendNow(id, found->second, message)
                                                              : ZmqSendResult::kWouldBlock;
  if (result == ZmqSendResult::kSent) return SendResult::kAccepted;
  if (result == ZmqSendResult::kNoSuchPeer) return SendResult::kPeerGone;
  is_bulk_blocked_ = true;
  return SendResult::kWouldBlock;
}

void RouterEndpoint::Impl::Forget(PeerId id) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || found->second.is_forgotten) return;
  found->second.is_forgotten = true;
  ++forgotten_count_;
}

void RouterEndpoint::Impl::Close(Duration flush_timeout) {
  // No clock here: the time is cut into waits, each of which counts in full even if it ends early.
  Duration left = flush_timeout;
  FlushQueues();
  while (!queued_.empty() && left >= kRetryWaitMin) {
    WaitReadable({socket_.fd()}, kRetryWaitMin);
    left -= kRetryWaitMin;
    static_cast<void>(socket_.IsReadable());  // takes in what the descriptor announced
    FlushQueues();
  }
  const auto linger_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
  static_cast<void>(socket_.Set(ZMQ_LINGER, static_cast<int>(std::max<int64_t>(linger_ms, 0))));
}

absl::StatusOr<RouterEndpoint> RouterEndpoint::Create(const RouterOptions& options) {
  SKERRY_RETURN_IF_ERROR(CheckOptions(options));
  RaiseOpenFileLimit();
  SKERRY_ASSIGN_OR_RETURN(Wakeup wakeup, Wakeup::Create());
  SKERRY_ASSIGN_OR_RETURN(ZmqContext context, ZmqContext::Create(options.link.io_threads));
  // First of all, and closed last, because ZeroMQ accepts everyone while there is no such handler.
  SKERRY_ASSIGN_OR_RETURN(ZapHandler zap, ZapHandler::Create(context, options.authenticate));
  SKERRY_ASSIGN_OR_RETURN(ZmqSocket socket, ZmqSocket::Create(context, ZMQ_ROUTER));
  SKERRY_RETURN_IF_ERROR(socket.Apply(options.link));
  SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_ROUTER_MANDATORY, 1));
  SKERRY_RETURN_IF_ERROR(socket.Set(ZMQ_BACKLOG, kBacklog));
  SKERRY_ASSIGN_OR_RETURN(ZmqMonitor monitor,
                          ZmqMonitor::Create(context, socket, ZMQ_EVENT_DISCONNECTED));
  std::vector<std::string> addresses;
  for (const std::string& address : options.addresses) {
    SKERRY_RETURN_IF_ERROR(BindOne(socket, address, options));
    SKERRY_ASSIGN_OR_RETURN(addresses.emplace_back(), socket.LastEndpoint());
  }
  auto impl = std::make_unique<Impl>(std::move(context), std::move(socket), std::move(monitor),
                                     std::move(zap), std::move(wakeup), options.link);
  impl->addresses_ = std::move(addresses);
  return RouterEndpoint(std::move(impl));
}

RouterEndpoint::RouterEndpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RouterEndpoint::~RouterEndpoint() = default;
RouterEndpoint::RouterEndpoint(RouterEndpoint&&) noexcept = default;

const std::vector<std::string>& RouterEndpoint::addresses() const { return impl_->addresses_; }
Wakeup RouterEndpoint::wakeup() const { return impl_->wakeup_; }
size_t RouterEndpoint::peer_count() const { return impl_->peer_count(); }

RouterPoll RouterEndpoint::Poll(Duration timeout) { return impl_->Poll(timeout); }
SendResult RouterEndpoint::Send(PeerId peer, Message message) {
  return impl_->Send(peer, std::move(message));
}
SendResult RouterEndpoint::TrySend(PeerId peer, const Message& message) {
  return impl_->TrySend(peer, message);
}
void RouterEndpoint::Forget(PeerId peer) { impl_->Forget(peer); }
void RouterEndpoint::Close(Duration flush_timeout) {
  if (impl_ == nullptr) return;
  impl_->Close(flush_timeout);
  impl_.reset();
}

}  // namespace skerry
