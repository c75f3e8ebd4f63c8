// The coordinator's end: one listening ZeroMQ ROUTER that all agent processes connect to.
//
// Used by the thread that created it, except for the Wakeup it hands out; messages and frames may
// be destroyed anywhere. Its authenticator is called on that same thread, inside Poll.
//
// On tcp every connection is encrypted and authenticated by CURVE, and its client key is looked up
// by the authenticator at each new connection. On ipc the socket's file permission (0600) is the
// guard. What one peer can make this process hold is bounded by LinkOptions, and no peer waits for
// another.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/strong_id.h"
#include "common/transport/frame.h"
#include "common/transport/link_options.h"
#include "common/transport/wakeup.h"

namespace skerry {

// The process that owns this CURVE public key (Z85, 40 characters), or none to refuse it.
using Authenticator = std::function<std::optional<ProcessName>(std::string_view public_key_z85)>;

struct RouterOptions {
  // tcp://host:port (port 0 or * lets the system choose) and ipc://path, any number of each.
  std::vector<std::string> addresses;
  // Needed for tcp. Z85; the caller keeps the secret safe, the endpoint keeps no copy.
  std::string secret_key_z85;
  Authenticator authenticate;
  LinkOptions link;
};

struct ReceivedMessage {
  PeerId peer;
  ProcessName process;  // as the authenticator named it; empty on ipc
  Message message;
};

// In all cases the connection is at its end, and the peer hears of that.
enum class PeerGoneReason {
  kDisconnected,
  kDoesNotRead,   // its queue of control messages passed LinkOptions::queue_bytes_max
  kBrokeFraming,  // an envelope larger than its limit, or more than two frames in a message
};

struct PeerGone {
  PeerId peer;
  PeerGoneReason reason = PeerGoneReason::kDisconnected;
};

// A connection the authenticator refused.
struct RefusedConnection {
  std::string address;         // of the peer, without port
  std::string public_key_z85;  // empty if it did not even try CURVE
};

// What happened, to be handled in this order.
struct RouterPoll {
  std::vector<RefusedConnection> refused;
  std::vector<ReceivedMessage> messages;
  std::vector<PeerGone> gone;
  bool may_send = false;   // a TrySend that would have blocked may succeed now
  bool was_woken = false;  // by the Wakeup

  bool is_empty() const {
    return refused.empty() && messages.empty() && gone.empty() && !may_send && !was_woken;
  }
};

enum class SendResult {
  kAccepted,
  kWouldBlock,  // keep it and try again when Poll says may_send
  kPeerGone,    // Poll reports it too
};

class RouterEndpoint {
 public:
  // Binds all addresses or fails and binds none. Raises the process's limit of open files to what
  // the system allows, as each agent is one.
  static absl::StatusOr<RouterEndpoint> Create(const RouterOptions& options);
  ~RouterEndpoint();
  RouterEndpoint(RouterEndpoint&&) noexcept;
  RouterEndpoint& operator=(RouterEndpoint&&) = delete;

  // As bound, in the order of RouterOptions::addresses, with the port the system chose.
  const std::vector<std::string>& addresses() const;
  Wakeup wakeup() const;

  // Waits up to `timeout` for something to report. May return earlier with nothing.
  RouterPoll Poll(Duration timeout);

  // For control messages: never blocks; what the peer cannot take yet is queued, in order.
  SendResult Send(PeerId peer, Message message);
  // For bulk: accepted only if the peer can take it now and nothing is queued before it.
  SendResult TrySend(PeerId peer, const Message& message);

  // Nothing more is received from or sent to this peer, and nothing more reported about it. What
  // was already accepted for it may still leave.
  void Forget(PeerId peer);

  // Waits up to `flush_timeout` until everything accepted has left, then closes. The destructor
  // does the same without waiting.
  void Close(Duration flush_timeout);

  // Connections that are known and neither gone nor forgotten.
  size_t peer_count() const;

 private:
  class Impl;
  explicit RouterEndpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
