// Moves Messages through ZeroMQ sockets without copying large frames. Internal to this library.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/transport/frame.h"
#include "common/transport/zmq_handle.h"

namespace skerry {

enum class ZmqSendResult { kSent, kWouldBlock, kNoSuchPeer };

// Sends all parts or none. `routing_id` names the peer of a ROUTER; a DEALER has none.
ZmqSendResult SendMessage(ZmqSocket& socket, std::string_view routing_id, const Message& message);

// Sends one message of small text parts, as ZAP uses. Nobody waits for it, so it may be lost.
void SendTextParts(ZmqSocket& socket, std::initializer_list<std::string_view> parts);

struct IncomingMessage {
  std::string routing_id;  // ROUTER only
  Message message;
  // More than two parts. The rest was thrown away.
  bool has_too_many_parts = false;
};

// None if nothing is there. Received bytes are not copied: frames own ZeroMQ's messages.
std::optional<IncomingMessage> ReceiveFromRouter(ZmqSocket& socket);
std::optional<IncomingMessage> ReceiveFromDealer(ZmqSocket& socket);

// All parts of one message as text. Empty if nothing is there.
std::vector<std::string> ReceiveTextParts(ZmqSocket& socket);

// What ZeroMQ knows of the connection a received frame came over.
struct ConnectionFacts {
  int fd = -1;          // -1: unknown
  std::string user_id;  // as the ZAP handler named it
};
ConnectionFacts FactsOf(const Frame& received);

}  // namespace skerry
