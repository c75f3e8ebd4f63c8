#include "common/transport/zmq_frames.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <zmq.h>

#include "common/base/status.h"

namespace skerry {
namespace {

// Below this a copy is cheaper than the allocation that shares ownership.
constexpr size_t kCopyBytesMax = 1024;

// Owns a received message; the destructor may run on any thread.
struct ReceivedFrame {
  ReceivedFrame() { ::zmq_msg_init(&message); }
  ~ReceivedFrame() { ::zmq_msg_close(&message); }
  ReceivedFrame(const ReceivedFrame&) = delete;
  ReceivedFrame& operator=(const ReceivedFrame&) = delete;
  std::span<const uint8_t> bytes() {
    return {static_cast<const uint8_t*>(::zmq_msg_data(&message)), ::zmq_msg_size(&message)};
  }
  zmq_msg_t message;
};

void ReleaseKeepAlive(void*, void* hint) { delete static_cast<std::shared_ptr<const void>*>(hint); }

void InitMessage(zmq_msg_t& to, const Frame& frame) {
  if (frame.size() <= kCopyBytesMax) {
    SKERRY_ASSERT(::zmq_msg_init_size(&to, frame.size()) == 0);
    if (frame.size() > 0) std::memcpy(::zmq_msg_data(&to), frame.bytes().data(), frame.size());
    return;
  }
  auto* owner = new std::shared_ptr<const void>(frame.keep_alive());
  // ZeroMQ takes a mutable pointer but only reads what it sends.
  auto* bytes = const_cast<uint8_t*>(frame.bytes().data());
  SKERRY_ASSERT(::zmq_msg_init_data(&to, bytes, frame.size(), &ReleaseKeepAlive, owner) == 0);
}

ZmqSendResult SendPart(ZmqSocket& socket, zmq_msg_t& part, int flags) {
  if (::zmq_msg_send(&part, socket.get(), flags | ZMQ_DONTWAIT) >= 0) return ZmqSendResult::kSent;
  const int error_number = ::zmq_errno();
  ::zmq_msg_close(&part);
  if (error_number == EHOSTUNREACH) return ZmqSendResult::kNoSuchPeer;
  SKERRY_ASSERT(error_number == EAGAIN || error_number == EINTR);
  return ZmqSendResult::kWouldBlock;
}

std::shared_ptr<ReceivedFrame> ReceivePart(ZmqSocket& socket) {
  auto frame = std::make_shared<ReceivedFrame>();
  if (::zmq_msg_recv(&frame->message, socket.get(), ZMQ_DONTWAIT) < 0) {
    const int error_number = ::zmq_errno();
    SKERRY_ASSERT(error_number == EAGAIN || error_number == EINTR);
    return nullptr;
  }
  return frame;
}

bool HasMore(const ReceivedFrame& frame) { return ::zmq_msg_more(&frame.message) != 0; }

// Once the first part of a message is there, so are the others.
std::shared_ptr<ReceivedFrame> ReceiveNextPart(ZmqSocket& socket) {
  auto part = ReceivePart(socket);
  SKERRY_ASSERT(part != nullptr);
  return part;
}

Frame ToFrame(std::shared_ptr<ReceivedFrame> part) {
  const std::span<const uint8_t> bytes = part->bytes();
  return Frame::Borrow(bytes, std::move(part));
}

void ReceiveBody(ZmqSocket& socket, std::shared_ptr<ReceivedFrame> part, IncomingMessage& into) {
  bool has_more = HasMore(*part);
  into.message.envelope = ToFrame(std::move(part));
  if (!has_more) return;
  part = ReceiveNextPart(socket);
  has_more = HasMore(*part);
  into.message.raw = ToFrame(std::move(part));
  while (has_more) {
    into.has_too_many_parts = true;
    has_more = HasMore(*ReceiveNextPart(socket));
  }
}

}  // namespace

ZmqSendResult SendMessage(ZmqSocket& socket, std::string_view routing_id, const Message& message) {
  zmq_msg_t part;
  // The first part decides: ZeroMQ accepts the others of a message it has begun, or drops them all
  // if the connection ends in between.
  if (!routing_id.empty()) {
    SKERRY_ASSERT(::zmq_msg_init_size(&part, routing_id.size()) == 0);
    std::memcpy(::zmq_msg_data(&part), routing_id.data(), routing_id.size());
    const ZmqSendResult result = SendPart(socket, part, ZMQ_SNDMORE);
    if (result != ZmqSendResult::kSent) return result;
  }
  InitMessage(part, message.envelope);
  const ZmqSendResult result = SendPart(socket, part, message.raw ? ZMQ_SNDMORE : 0);
  if (result != ZmqSendResult::kSent || !message.raw) return result;
  InitMessage(part, *message.raw);
  return SendPart(socket, part, 0);
}

void SendTextParts(ZmqSocket& socket, std::initializer_list<std::string_view> parts) {
  size_t left = parts.size();
  for (const std::string_view text : parts) {
    if (::zmq_send(socket.get(), text.data(), text.size(),
                   ZMQ_DONTWAIT | (--left > 0 ? ZMQ_SNDMORE : 0)) < 0) {
      return;
    }
  }
}

std::optional<IncomingMessage> ReceiveFromRouter(ZmqSocket& socket) {
  const auto id = ReceivePart(socket);
  if (id == nullptr) return std::nullopt;
  IncomingMessage incoming;
  const std::span<const uint8_t> bytes = id->bytes();
  incoming.routing_id.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  ReceiveBody(socket, ReceiveNextPart(socket), incoming);
  return incoming;
}

std::optional<IncomingMessage> ReceiveFromDealer(ZmqSocket& socket) {
  auto first = ReceivePart(socket);
  if (first == nullptr) return std::nullopt;
  IncomingMessage incoming;
  ReceiveBody(socket, std::move(first), incoming);
  return incoming;
}

std::vector<std::string> ReceiveTextParts(ZmqSocket& socket) {
  std::vector<std::string> parts;
  for (auto part = ReceivePart(socket); part != nullptr; part = ReceiveNextPart(socket)) {
    const std::span<const uint8_t> bytes = part->bytes();
    parts.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!HasMore(*part)) break;
  }
  return parts;
}

ConnectionFacts FactsOf(const Frame& received) {
  const auto* part = static_cast<const ReceivedFrame*>(received.keep_alive().get());
  ConnectionFacts facts;
  const int fd = ::zmq_msg_get(&part->message, ZMQ_SRCFD);
  if (fd >= 0) facts.fd = fd;
  const char* user_id = ::zmq_msg_gets(&part->message, "User-Id");
  if (user_id != nullptr) facts.user_id = user_id;
  return facts;
}

}  // namespace skerry
