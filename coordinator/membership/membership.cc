#include "coordinator/membership/membership.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/protocol/limits.h"

namespace skerry {
namespace {

proto::Envelope& Append(PeerId peer, MembershipOutbox& out) {
  out.send.push_back({.peer = peer, .envelope = {}, .attach_model = false});
  return out.send.back().envelope;
}

// A verdict that nobody asked for: the node was turned out.
void TellNode(PeerId peer, const NodeId& node, proto::RejectReason reason, MembershipOutbox& out) {
  const bool is_open =
      !out.send.empty() && out.send.back().peer == peer &&
      out.send.back().envelope.has_join_result() &&
      out.send.back().envelope.join_result().nodes_size() < protocol::kJoinNodesMax;
  proto::Envelope& envelope = is_open ? out.send.back().envelope : Append(peer, out);
  proto::NodeVerdict& verdict = *envelope.mutable_join_result()->add_nodes();
  verdict.set_node(node.value());
  verdict.set_reason(reason);
}

// What only agents send, after Hello, and others handle.
bool IsForOthers(proto::Envelope::BodyCase body) {
  switch (body) {
    case proto::Envelope::kModelRequest:
    case proto::Envelope::kProgress:
    case proto::Envelope::kUploadOffer:
    case proto::Envelope::kUploadChunk:
    case proto::Envelope::kNodeFailure:
    case proto::Envelope::kKeyAdvert:
    case proto::Envelope::kRingReveal:
    case proto::Envelope::kKeyShares:
    case proto::Envelope::kSurvivorSignature:
    case proto::Envelope::kUnmaskShares:
      return true;
    default:
      return false;
  }
}

std::string VersionDetail(const proto::Hello& hello) {
  return fmt::format("this coordinator speaks protocol versions {} to {}, the agent {} to {}",
                     protocol::kVersionMin, protocol::kVersionMax, hello.version_min(),
                     hello.version_max());
}

}  // namespace

Membership::Membership(MembershipOptions options, std::shared_ptr<const RosterAuthority> authority,
                       RandomBits& nonces)
    : options_(std::move(options)), authority_(std::move(authority)), nonces_(nonces) {}

Membership::Peer& Membership::Know(PeerId id, Instant now) {
  const auto [it, is_new] = peers_.try_emplace(id);
  if (is_new) awaited_hellos_.push_back({now + options_.hello_timeout, id});
  if (!look_at_) look_at_ = now + options_.look_interval;
  it->second.silent_looks = 0;
  return it->second;
}

Membership::Route Membership::HandleMessage(PeerId id, const ProcessName& authenticated,
                                            const proto::Envelope& message, Instant now,
                                            MembershipOutbox& out) {
  Peer& peer = Know(id, now);
  if (message.has_hello()) {
    HandleHello(id, peer, authenticated, message.hello(), out);
    return Route::kDone;
  }
  if (!peer.is_welcome) {
    ++rejects_[proto::REJECT_REASON_OUT_OF_PHASE];
    if (!std::exchange(peer.was_told_to_say_hello, true)) {
      proto::Refused& refused = *Append(id, out).mutable_refused();
      refused.set_reason(proto::REJECT_REASON_OUT_OF_PHASE);
      refused.set_detail("this connection is new to the coordinator; start with Hello");
    }
    return Route::kDone;
  }
  if (IsForOthers(message.body_case())) return Route::kOthers;
  switch (message.body_case()) {
    case proto::Envelope::kJoin:
      HandleJoin(id, peer, message.join(), out);
      break;
    case proto::Envelope::kLeave:
      HandleLeave(peer, message.leave(), out);
      break;
    case proto::Envelope::kPing:
      Append(id, out).mutable_ping();
      break;
    default:  // what only a coordinator sends
      HandleMalformed(id, now, out);
  }
  return Route::kDone;
}

void Membership::HandleHello(PeerId id, Peer& peer, const ProcessName& authenticated,
                             const proto::Hello& hello, MembershipOutbox& out) {
  const ProcessName process(hello.process());
  if (peer.is_welcome && peer.process == process) {
    SendWelcome(id, peer, out);  // the same nonce: the first one may have been lost
    return;
  }
  if (peer.is_welcome) {
    return TurnAway(id, proto::REJECT_REASON_MALFORMED,
                    fmt::format("this connection said it was {} and now {}", peer.process.value(),
                                process.value()),
                    out);
  }
  const uint32_t version = std::min(hello.version_max(), protocol::kVersionMax);
  if (version < std::max(hello.version_min(), protocol::kVersionMin)) {
    return TurnAway(id, proto::REJECT_REASON_VERSION, VersionDetail(hello), out);
  }
  if (!authenticated.value().empty() && authenticated != process) {
    return TurnAway(id, proto::REJECT_REASON_WRONG_PROCESS,
                    fmt::format("the connection's key belongs to {} in the roster, Hello says {}",
                                authenticated.value(), process.value()),
                    out);
  }
  if (!authority_->ProcessEntry(process)) {
    return TurnAway(id, proto::REJECT_REASON_NOT_IN_ROSTER,
                    fmt::format("the roster has no process {}", process.value()), out);
  }
  if (const auto older = processes_.find(process); older != processes_.end()) {
    TurnAway(older->second, proto::REJECT_REASON_NODE_ELSEWHERE,
             fmt::format("{} connected again", process.value()), out);
  }
  Peer& known = peers_.find(id)->second;  // turning the older one away may have moved `peer`
  processes_[process] = id;
  known.process = process;
  known.is_welcome = true;
  std::array<uint8_t, protocol::kNonceBytes> nonce;
  nonces_.Fill(nonce);
  known.welcome.set_version(version);
  known.welcome.set_nonce(nonce.data(), nonce.size());
  known.welcome.set_run_id(options_.run_id.value());
  SendWelcome(id, known, out);
}

void Membership::SendWelcome(PeerId id, const Peer& peer, MembershipOutbox& out) const {
  proto::Welcome& welcome = *Append(id, out).mutable_welcome();
  welcome = peer.welcome;
  welcome.set_job_yaml(options_.job_yaml);
  welcome.set_roster_size(static_cast<uint32_t>(authority_->nodes().size()));
  welcome.set_roster_hash(authority_->hash());
  for (const TensorShape& tensor : options_.layout->tensors()) {
    proto::TensorInfo& info = *welcome.add_layout();
    info.set_name(tensor.name);
    info.mutable_sizes()->Add(tensor.sizes.begin(), tensor.sizes.end());
  }
}

void Membership::HandleJoin(PeerId id, Peer& peer, const proto::Join& join, MembershipOutbox& out) {
  proto::JoinResult result;
  for (const proto::NodeProof& proof : join.nodes()) {
    proto::NodeVerdict& verdict = *result.add_nodes();
    verdict.set_node(proof.node());
    verdict.set_reason(Admit(id, peer, proof, out));
    if (verdict.reason() != proto::REJECT_REASON_UNSPECIFIED) ++rejects_[verdict.reason()];
  }
  *Append(id, out).mutable_join_result() = std::move(result);
}

proto::RejectReason Membership::Admit(PeerId id, Peer& peer, const proto::NodeProof& proof,
                                      MembershipOutbox& out) {
  const NodeId node(proof.node());
  const std::string& nonce = peer.welcome.nonce();
  const proto::RejectReason reason =
      authority_->Judge({.nonce = {reinterpret_cast<const uint8_t*>(nonce.data()), nonce.size()},
                         .run_id = options_.run_id,
                         .version = peer.welcome.version(),
                         .node = node,
                         .process = peer.process},
                        proof.signature());
  if (reason != proto::REJECT_REASON_UNSPECIFIED) return reason;
  const auto [joined, is_new] = nodes_.try_emplace(node, id);
  if (!is_new && joined->second != id) {
    const PeerId older = joined->second;
    peers_.find(older)->second.nodes.erase(node);
    TellNode(older, node, proto::REJECT_REASON_NODE_ELSEWHERE, out);
    out.round.emplace_back(NodeLeft{node, "joined by a newer connection"});
    joined->second = id;
  }
  peer.nodes.insert(node);
  out.round.emplace_back(NodeJoined{node, id});
  return reason;
}

void Membership::HandleLeave(Peer& peer, const proto::Leave& leave, MembershipOutbox& out) {
  std::vector<NodeId> leaving;
  if (leave.nodes().empty()) leaving.assign(peer.nodes.begin(), peer.nodes.end());
  for (const std::string& name : leave.nodes()) leaving.emplace_back(name);
  for (const NodeId& node : leaving) {
    if (peer.nodes.erase(node) == 0) continue;  // a repeat, or never joined over this connection
    nodes_.erase(node);
    out.round.emplace_back(NodeLeft{node, "said that it leaves"});
  }
}

void Membership::HandleMalformed(PeerId id, Instant now, MembershipOutbox& out) {
  if (++Know(id, now).malformed_count < options_.malformed_max) {
    ++rejects_[proto::REJECT_REASON_MALFORMED];
    return;
  }
  TurnAway(id, proto::REJECT_REASON_MALFORMED,
           fmt::format("{} messages of this connection did not follow the protocol",
                       options_.malformed_max),
           out);
}

void Membership::HandleGone(PeerId id, std::string_view reason, MembershipOutbox& out) {
  const auto peer = peers_.find(id);
  if (peer != peers_.end()) Remove(peer, reason, out);
}

void Membership::HandleRoster(std::shared_ptr<const RosterAuthority> authority,
                              MembershipOutbox& out) {
  const std::shared_ptr<const RosterAuthority> before = std::exchange(authority_, authority);
  std::vector<PeerId> revoked_peers;
  for (auto& [id, peer] : peers_) {
    if (!peer.is_welcome) continue;
    if (before->ProcessEntry(peer.process) != authority_->ProcessEntry(peer.process)) {
      revoked_peers.push_back(id);
      continue;
    }
    std::vector<NodeId> revoked;
    for (const NodeId& node : peer.nodes) {
      if (before->NodeEntry(node) != authority_->NodeEntry(node)) revoked.push_back(node);
    }
    for (const NodeId& node : revoked) {
      peer.nodes.erase(node);
      nodes_.erase(node);
      TellNode(id, node, proto::REJECT_REASON_REVOKED, out);
      ++rejects_[proto::REJECT_REASON_REVOKED];
      out.round.emplace_back(NodeLeft{node, "revoked"});
    }
  }
  for (const PeerId id : revoked_peers) {
    TurnAway(id, proto::REJECT_REASON_REVOKED, "the roster no longer has this process and key",
             out);
  }
  out.round.emplace_back(RosterChanged{authority_->nodes()});
}

void Membership::HandleDeadline(Instant now, MembershipOutbox& out) {
  while (!awaited_hellos_.empty() && awaited_hellos_.front().until <= now) {
    const PeerId id = awaited_hellos_.front().peer;
    awaited_hellos_.pop_front();
    const auto peer = peers_.find(id);
    if (peer == peers_.end() || peer->second.is_welcome) continue;
    TurnAway(id, proto::REJECT_REASON_OUT_OF_PHASE,
             fmt::format("no Hello within {:.0f} s", Seconds(options_.hello_timeout)), out);
  }
  if (look_at_ && now >= *look_at_) TurnSilentPeersAway(now, out);
}

void Membership::TurnSilentPeersAway(Instant now, MembershipOutbox& out) {
  std::vector<PeerId> silent;
  for (auto& [id, peer] : peers_) {
    if (peer.is_welcome && ++peer.silent_looks > options_.silent_looks_max) silent.push_back(id);
  }
  for (const PeerId id : silent) {
    TurnAway(id, proto::REJECT_REASON_STALLED, "not a word, not even a Ping, for long", out);
  }
  look_at_.reset();
  if (!peers_.empty()) look_at_ = now + options_.look_interval;
}

std::optional<Instant> Membership::NextDeadline() const {
  if (awaited_hellos_.empty()) return look_at_;
  const Instant hello = awaited_hellos_.front().until;
  return look_at_ ? std::min(hello, *look_at_) : hello;
}

bool Membership::IsWelcome(PeerId id) const {
  const auto peer = peers_.find(id);
  return peer != peers_.end() && peer->second.is_welcome;
}

std::optional<PeerId> Membership::PeerOf(const NodeId& node) const {
  const auto peer = nodes_.find(node);
  return peer == nodes_.end() ? std::nullopt : std::optional<PeerId>(peer->second);
}

ProcessName Membership::ProcessOf(PeerId id) const {
  const auto peer = peers_.find(id);
  return peer == peers_.end() ? ProcessName() : peer->second.process;
}

void Membership::TurnAway(PeerId id, proto::RejectReason reason, std::string detail,
                          MembershipOutbox& out) {
  ++rejects_[reason];
  Remove(peers_.find(id), detail, out);
  proto::Refused& refused = *Append(id, out).mutable_refused();
  refused.set_reason(reason);
  refused.set_detail(std::move(detail));
  out.forget.push_back(id);
}

void Membership::Remove(Peers::iterator peer, std::string_view reason, MembershipOutbox& out) {
  for (const NodeId& node : peer->second.nodes) {
    nodes_.erase(node);
    out.round.emplace_back(NodeLeft{node, std::string(reason)});
  }
  const auto process = processes_.find(peer->second.process);
  if (process != processes_.end() && process->second == peer->first) processes_.erase(process);
  peers_.erase(peer);
}

}  // namespace skerry
