// Who is connected and which nodes have joined over which connection. Chooses the protocol version,
// hands out nonces and the job, has every node's proof checked, and tells the round machine who
// joined and left. No I/O: inputs are messages with the process the transport authenticated, lost
// connections, a new roster, or "it is now t"; outputs go to a MembershipOutbox. One thread; calls
// carry non-decreasing `now`.
//
// One connection a process and one a node: the newer one counts, because an agent whose link broke
// is back before the loss of the old one is noticed. A repeated Hello or Join is answered like the
// first.
//
// A peer that sends anything before Hello is told so with Refused{OUT_OF_PHASE} and keeps the
// connection for a while: it may be an agent that has not yet noticed that its link, or this
// coordinator, is a new one. Every other Refused ends the connection.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "common/base/clock.h"
#include "common/base/strong_id.h"
#include "common/crypto/random_bits.h"
#include "common/tensor/parameter_layout.h"
#include "coordinator/membership/roster_authority.h"
#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "skerry.pb.h"

namespace skerry {

struct MembershipOptions {
  RunId run_id;
  std::string job_yaml;       // the resolved job
  ParameterLayoutPtr layout;  // of the model
  Duration hello_timeout = std::chrono::seconds(10);
  uint32_t malformed_max = 16;  // so many malformed messages cost a peer its connection
  // Peers are looked at so often; one that said nothing between so many looks is turned away. An
  // agent pings three times as often. Counted and not timed, because a coordinator that was stopped
  // for long has looked once.
  Duration look_interval = std::chrono::seconds(30);
  uint32_t silent_looks_max = 3;
};

// Drained in this order.
struct MembershipOutbox {
  std::vector<OutgoingMessage> send;
  std::vector<PeerId> forget;  // close these connections, after what was sent has left
  std::vector<Input> round;    // for RoundMachine::Handle: NodeLeft, NodeJoined, RosterChanged
};

class Membership {
 public:
  enum class Route {
    kDone,    // dealt with here
    kOthers,  // a round or transfer message of a welcomed peer: whoever handles those answers
  };

  // `nonces` must outlive this.
  Membership(MembershipOptions options, std::shared_ptr<const RosterAuthority> authority,
             RandomBits& nonces);

  // `authenticated`: the process that owns the connection's key; empty on ipc, where Hello's name
  // counts and the nodes' signatures alone prove anything.
  Route HandleMessage(PeerId peer, const ProcessName& authenticated, const proto::Envelope& message,
                      Instant now, MembershipOutbox& out);
  // A message of `peer` that protocol::Decode or a handler of round or transfer messages found
  // malformed.
  void HandleMalformed(PeerId peer, Instant now, MembershipOutbox& out);
  // The connection is lost. `reason`: in words, for people.
  void HandleGone(PeerId peer, std::string_view reason, MembershipOutbox& out);
  // Processes and nodes that are gone or have another key or place are turned out; nobody else
  // notices.
  void HandleRoster(std::shared_ptr<const RosterAuthority> authority, MembershipOutbox& out);
  void HandleDeadline(Instant now, MembershipOutbox& out);
  std::optional<Instant> NextDeadline() const;

  // Has said Hello and was welcomed.
  bool IsWelcome(PeerId peer) const;
  // The connection a node is joined over.
  std::optional<PeerId> PeerOf(const NodeId& node) const;
  // Of a welcomed peer; empty otherwise.
  ProcessName ProcessOf(PeerId peer) const;

  size_t process_count() const { return processes_.size(); }
  size_t node_count() const { return nodes_.size(); }
  // A refusal that was decided elsewhere: of a connection, or of a part of a transfer.
  void CountReject(proto::RejectReason reason) { ++rejects_[reason]; }
  // Refused connections, messages and joins by reason, since the start.
  const std::map<proto::RejectReason, uint64_t>& rejects() const { return rejects_; }

 private:
  struct Peer {
    ProcessName process;            // empty until Hello
    proto::Welcome welcome;         // as sent, without the job and the layout
    absl::btree_set<NodeId> nodes;  // joined over it
    uint32_t malformed_count = 0;
    uint32_t silent_looks = 0;  // since its last message
    bool is_welcome = false;
    bool was_told_to_say_hello = false;
  };
  using Peers = absl::btree_map<PeerId, Peer>;

  Peer& Know(PeerId id, Instant now);
  void HandleHello(PeerId id, Peer& peer, const ProcessName& authenticated,
                   const proto::Hello& hello, MembershipOutbox& out);
  void HandleJoin(PeerId id, Peer& peer, const proto::Join& join, MembershipOutbox& out);
  void HandleLeave(Peer& peer, const proto::Leave& leave, MembershipOutbox& out);
  proto::RejectReason Admit(PeerId id, Peer& peer, const proto::NodeProof& proof,
                            MembershipOutbox& out);
  void SendWelcome(PeerId id, const Peer& peer, MembershipOutbox& out) const;
  void TurnSilentPeersAway(Instant now, MembershipOutbox& out);
  // Ends the connection. `id` is unknown afterwards.
  void TurnAway(PeerId id, proto::RejectReason reason, std::string detail, MembershipOutbox& out);
  // Its nodes leave.
  void Remove(Peers::iterator peer, std::string_view reason, MembershipOutbox& out);

  MembershipOptions options_;
  std::shared_ptr<const RosterAuthority> authority_;
  RandomBits& nonces_;
  Peers peers_;
  absl::flat_hash_map<ProcessName, PeerId> processes_;
  absl::flat_hash_map<NodeId, PeerId> nodes_;
  struct Awaited {
    Instant until;
    PeerId peer;
  };
  std::deque<Awaited> awaited_hellos_;  // by time; entries of peers that said Hello are passed over
  std::optional<Instant> look_at_;      // none: nobody is there
  std::map<proto::RejectReason, uint64_t> rejects_;
};

}  // namespace skerry
