// The agent process's end: one ZeroMQ DEALER connected to the coordinator, made anew whenever the
// link is lost.
//
// Used by the thread that created it, except for the Wakeup it hands out. Every link starts fresh:
// what was accepted for an older link and did not get out is dropped, as the session above repeats
// what matters. After a loss the next try waits longer each time, with jitter, from
// DealerOptions::retry_wait_min to retry_wait_max, and short again once a link was up.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/transport/frame.h"
#include "common/transport/link_options.h"
#include "common/transport/wakeup.h"

namespace skerry {

// Z85, 40 characters each.
struct DealerKeys {
  std::string public_key_z85;
  std::string secret_key_z85;  // wiped when the endpoint is destroyed
  std::string coordinator_public_key_z85;
};

struct DealerOptions {
  std::string address;             // tcp://host:port or ipc://path
  std::optional<DealerKeys> keys;  // needed for tcp, not used for ipc
  Duration retry_wait_min = std::chrono::milliseconds(100);
  Duration retry_wait_max = std::chrono::seconds(30);
  LinkOptions link;
};

// What happened, to be handled in this order.
struct DealerPoll {
  bool is_link_up = false;  // became up: the peer is the coordinator and has accepted our key
  std::vector<Message> messages;
  // The link was lost or could not be made; says why in words an operator understands.
  std::optional<std::string> link_down;
  bool may_send = false;   // a TrySend that was refused may succeed now
  bool was_woken = false;  // by the Wakeup

  bool is_empty() const {
    return !is_link_up && messages.empty() && !link_down && !may_send && !was_woken;
  }
};

class DealerEndpoint {
 public:
  // Connects at the first Poll. `rng` gives the jitter.
  static absl::StatusOr<DealerEndpoint> Create(DealerOptions options, Rng rng);
  ~DealerEndpoint();
  DealerEndpoint(DealerEndpoint&&) noexcept;
  DealerEndpoint& operator=(DealerEndpoint&&) = delete;

  Wakeup wakeup() const;
  bool is_up() const;
  // When the next try to connect is due; none while connecting or up.
  std::optional<Instant> next_retry() const;

  // Waits up to `timeout` for something to report, or until a try to connect is due. May return
  // earlier with nothing. `now` is the time of the call.
  DealerPoll Poll(Duration timeout, Instant now);

  // For control messages: never blocks; what the link cannot take yet is queued, in order. False,
  // and the message is dropped, while the link is down or if the queue is full.
  bool Send(Message message);
  // For bulk: true only if the link can take it now and nothing is queued before it.
  bool TrySend(const Message& message);

  // Ends the link, if there is one; Poll reports it and connects again after the usual wait.
  void Reconnect();

  // Waits up to `flush_timeout` until everything accepted has left, then closes. The destructor
  // does the same without waiting.
  void Close(Duration flush_timeout);

 private:
  class Impl;
  explicit DealerEndpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
