#include "coordinator/round/key_exchange.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "absl/container/btree_set.h"
#include "absl/strings/escaping.h"
#include "common/base/status.h"
#include "common/config/secagg_rules.h"
#include "common/protocol/limits.h"
#include "coordinator/round/answers.h"
#include "coordinator/round/notices.h"
#include "coordinator/round/senders.h"

namespace skerry {
namespace {

using Stage = SecAggServer::Stage;

SessionParams ParamsOf(const RoundData& data) {
  const SecAggPolicy& policy = *data.policy.secagg;
  SessionParams params{.run = policy.run,
                       .round = data.round,
                       .attempt = data.attempt,
                       .model_sha256 = {},
                       .job_sha256 = policy.job_sha256,
                       .vector_length = data.policy.upload_bytes / sizeof(RingElement),
                       .scale_bits = data.policy.scale_bits,
                       .colluders = policy.config.colluders,
                       .dropout_tolerance = policy.config.dropout_tolerance,
                       .min_survivors = policy.config.min_survivors,
                       .clip_norm = data.clip_norm};
  const std::string model = absl::HexStringToBytes(data.model_sha256);
  SKERRY_ASSERT(model.size() == params.model_sha256.size());
  std::copy(model.begin(), model.end(), params.model_sha256.begin());
  return params;
}

bool HasAnswered(const SecAggServer& server, const NodeId& node) {
  switch (server.stage()) {
    case Stage::kKeys:
      return server.HasAdvert(node);
    case Stage::kRing:
      return server.HasReveal(node);
    default:
      return server.HasShares(node);
  }
}

size_t AnswerCount(const SecAggServer& server) {
  switch (server.stage()) {
    case Stage::kKeys:
      return server.advert_count();
    case Stage::kRing:
      return server.reveal_count();
    default:
      return server.share_count();
  }
}

// What a stage asks of a node.
std::string_view NameOfAnswer(const SecAggServer& server) {
  switch (server.stage()) {
    case Stage::kKeys:
      return "keys";
    case Stage::kRing:
      return "nonce for the ring";
    default:
      return "shares";
  }
}

bool IsExchanging(const RoundData& data) {
  return data.secagg && data.secagg->stage() < Stage::kUpdates;
}

// When a node that has not answered is out of patience: from its last sign of life if it is not
// connected, from the stage's beginning if it is.
Instant CutTime(const RoundData& data, const NodeId& node, const Participant& participant) {
  const NodeState* state = data.FindNode(node);
  const bool is_connected = state != nullptr && state->peer;
  const Instant since = is_connected ? std::max(data.session_stage_since, participant.last_progress)
                                     : participant.last_progress;
  return since + data.policy.round.stall_timeout;
}

bool IsMissing(const RoundData& data, const NodeId& node, const Participant& participant) {
  return participant.is_outstanding() && !HasAnswered(*data.secagg, node);
}

bool AreMissing(const RoundData& data) {
  return std::any_of(data.participants.begin(), data.participants.end(),
                     [&](const auto& entry) { return IsMissing(data, entry.first, entry.second); });
}

// Connections with the nodes of each that the round still waits for.
template <typename Visit>
void ForEachPeer(const RoundData& data, Visit visit) {
  std::vector<PeerNode> nodes;
  for (const auto& [node, participant] : data.participants) {
    const NodeState* state = data.FindNode(node);
    if (participant.is_outstanding() && state != nullptr && state->peer) {
      nodes.emplace_back(*state->peer, node);
    }
  }
  std::sort(nodes.begin(), nodes.end());
  for (size_t i = 0; i < nodes.size();) {
    const PeerId peer = nodes[i].first;
    std::vector<NodeId> hosted;
    for (; i < nodes.size() && nodes[i].first == peer; ++i) hosted.push_back(nodes[i].second);
    visit(peer, hosted);
  }
}

// What is said of this attempt in the newest message of this kind to this peer, or null.
template <typename Get>
auto FindOfAttempt(const RoundData& data, PeerId peer, proto::Envelope::BodyCase kind, Outbox& out,
                   Get get) -> decltype(get(std::declval<proto::Envelope&>())) {
  OutgoingMessage* message = FindForPeer(peer, kind, out);
  if (message == nullptr) return nullptr;
  auto* body = get(message->envelope);
  const bool is_current =
      body->round() == data.round.value() && body->attempt() == data.attempt.value();
  return is_current ? body : nullptr;
}

// Once is enough for all nodes of a process that join together.
void SendRoster(const RoundData& data, PeerId peer, Outbox& out) {
  const auto get = [](proto::Envelope& envelope) { return envelope.mutable_key_roster(); };
  if (FindOfAttempt(data, peer, proto::Envelope::kKeyRoster, out, get) != nullptr) return;
  out.send.push_back({.peer = peer, .envelope = {}, .attach_model = false});
  *out.send.back().envelope.mutable_key_roster() = data.secagg->key_roster();
}

void SendRing(const RoundData& data, PeerId peer, Outbox& out) {
  const auto get = [](proto::Envelope& envelope) { return envelope.mutable_ring_nonces(); };
  if (FindOfAttempt(data, peer, proto::Envelope::kRingNonces, out, get) != nullptr) return;
  out.send.push_back({.peer = peer, .envelope = {}, .attach_model = false});
  *out.send.back().envelope.mutable_ring_nonces() = data.secagg->ring_nonces();
}

// A process may host more nodes than there is room for in one message.
void SendDelivery(const RoundData& data, PeerId peer, std::span<const NodeId> nodes, Outbox& out) {
  const size_t node_bytes =
      data.secagg->roster().graph().HoldersOf(0).size() * protocol::kSealedShareBytes +
      protocol::kNodeIdBytesMax;
  const size_t fitting = std::max<size_t>(protocol::kEnvelopeBytesMax / 2 / node_bytes, 1);
  const auto get = [](proto::Envelope& envelope) { return envelope.mutable_share_delivery(); };
  while (!nodes.empty()) {
    proto::ShareDelivery* open =
        FindOfAttempt(data, peer, proto::Envelope::kShareDelivery, out, get);
    const size_t taken = open == nullptr ? 0 : static_cast<size_t>(open->nodes_size());
    const bool is_open = open != nullptr && taken < fitting;
    const std::span<const NodeId> some =
        nodes.first(std::min(is_open ? fitting - taken : fitting, nodes.size()));
    proto::ShareDelivery delivery = data.secagg->DeliveryFor(some);
    if (is_open) {
      open->mutable_nodes()->MergeFrom(delivery.nodes());
    } else {
      out.send.push_back({.peer = peer, .envelope = {}, .attach_model = false});
      *out.send.back().envelope.mutable_share_delivery() = std::move(delivery);
    }
    nodes = nodes.subspan(some.size());
  }
}

uint32_t QuorumOf(const RoundData& data) {
  const uint32_t planned = data.is_replay() ? static_cast<uint32_t>(data.participants.size())
                                            : static_cast<uint32_t>(data.policy.round.quorum);
  return std::max(planned, static_cast<uint32_t>(data.secagg->roster().survivors_min()));
}

// Keys of nodes that have left the round since are not worth a session.
void ForgetTheLost(RoundData& data) {
  for (const auto& [node, participant] : data.participants) {
    if (!participant.is_outstanding()) data.secagg->Forget(node);
  }
}

// A node that used another's key: honest nodes would refuse the whole list, so it goes.
void DismissClashes(RoundData& data, Outbox& out) {
  absl::btree_set<std::string> keys;
  for (auto& [node, participant] : data.participants) {
    const proto::KeyAdvert* advert = data.secagg->FindAdvert(node);
    if (advert == nullptr) continue;
    const bool is_fresh =
        keys.insert(advert->cipher_key()).second && keys.insert(advert->mask_key()).second;
    if (is_fresh) continue;
    Dismiss(node, participant,
            {.refusal = proto::REJECT_REASON_MALFORMED, .reason = "it uses another node's key"},
            data, out);
    data.secagg->Forget(node);
  }
}

void CloseKeys(RoundData& data, Instant now, Outbox& out) {
  if (!data.secagg->CloseKeys().ok()) {
    // Single adverts were checked, so only a key that is used twice, or a node that has just left
    // the roster, can be in the way.
    DismissClashes(data, out);
    if (data.secagg->advert_count() < NodesNeeded(data)) return;
    if (!data.secagg->CloseKeys().ok()) return;
  }
  data.quorum = QuorumOf(data);
  data.session_stage_since = now;
  StoreSession(data, out);
  ForEachPeer(data, [&](PeerId peer, const auto&) { SendRoster(data, peer, out); });
}

void CloseRing(RoundData& data, Instant now, Outbox& out) {
  data.secagg->CloseRing();
  data.session_stage_since = now;
  StoreSession(data, out);
  ForEachPeer(data, [&](PeerId peer, const auto&) { SendRing(data, peer, out); });
}

void CloseShares(RoundData& data, Instant now, Outbox& out) {
  data.secagg->CloseShares();
  data.session_stage_since = now;
  StoreSession(data, out);
  ForEachPeer(data, [&](PeerId peer, const std::vector<NodeId>& nodes) {
    SendDelivery(data, peer, nodes, out);
  });
}

}  // namespace

void StartKeyExchange(RoundData& data, Instant now) {
  data.secagg.emplace(SecAggServer::Options{.params = ParamsOf(data),
                                            .identity_of = data.policy.secagg->identity_of,
                                            .crypto = data.policy.secagg->crypto});
  data.session_stage_since = now;
  data.quorum = NodesNeeded(data);
}

uint32_t NodesNeeded(const RoundData& data) {
  if (data.secagg->stage() != Stage::kKeys) return QuorumOf(data);
  const auto invited = static_cast<uint32_t>(data.participants.size());
  if (data.is_replay()) return invited;
  // Who has left already is one of those that may drop out.
  SecAggConfig config = data.policy.secagg->config;
  const int64_t lost = int64_t{invited} - int64_t{data.outstanding_count()};
  config.dropout_tolerance = std::max<int64_t>(config.dropout_tolerance - lost, 0);
  return static_cast<uint32_t>(SmallestSession(data.policy.round, config, int64_t{invited}));
}

void AdvanceKeyExchange(RoundData& data, Instant now, Outbox& out) {
  if (IsExchanging(data) && data.secagg->stage() == Stage::kKeys) {
    ForgetTheLost(data);
    data.quorum = NodesNeeded(data);
    if (AnswerCount(*data.secagg) >= NodesNeeded(data) && !AreMissing(data)) {
      CloseKeys(data, now, out);
    }
  }
  const bool has_nonces = IsExchanging(data) && data.secagg->stage() == Stage::kRing &&
                          data.secagg->reveal_count() == data.secagg->roster().size();
  if (has_nonces) CloseRing(data, now, out);
  const bool has_shares = IsExchanging(data) && data.secagg->stage() == Stage::kShares &&
                          AnswerCount(*data.secagg) >= NodesNeeded(data) && !AreMissing(data);
  if (has_shares) CloseShares(data, now, out);
}

void CutSilentKeys(RoundData& data, Instant now, Outbox& out) {
  if (!IsExchanging(data) || AnswerCount(*data.secagg) < NodesNeeded(data)) return;
  for (auto& [node, participant] : data.participants) {
    if (!IsMissing(data, node, participant) || now < CutTime(data, node, participant)) continue;
    Dismiss(node, participant,
            {.participation = Participation::kCut,
             .refusal = proto::REJECT_REASON_STALLED,
             .reason = fmt::format("sent no {} in time", NameOfAnswer(*data.secagg))},
            data, out);
    const NodeState* state = data.FindNode(node);
    if (state != nullptr && state->peer) {
      SendVerdict(data, *state->peer, data.round.value(), node, proto::REJECT_REASON_STALLED, out);
    }
  }
}

std::optional<NodeId> FindLostNonce(const RoundData& data) {
  if (!data.secagg || data.secagg->stage() != Stage::kRing) return std::nullopt;
  for (const SessionMember& member : data.secagg->roster().members()) {
    const auto it = data.participants.find(member.node);
    const bool is_coming = it != data.participants.end() && it->second.is_outstanding();
    if (!is_coming && !data.secagg->HasReveal(member.node)) return member.node;
  }
  return std::nullopt;
}

std::string DescribeKeyExchange(const RoundData& data) {
  const SecAggServer& server = *data.secagg;
  const size_t awaited =
      server.stage() == Stage::kRing ? server.roster().size() : data.outstanding_count();
  return fmt::format("exchanging {} ({} of {})",
                     server.stage() == Stage::kRing ? "nonces" : NameOfAnswer(server),
                     AnswerCount(server), awaited);
}

std::optional<Instant> NextKeyCut(const RoundData& data) {
  if (!IsExchanging(data) || AnswerCount(*data.secagg) < NodesNeeded(data)) return std::nullopt;
  std::optional<Instant> next;
  for (const auto& [node, participant] : data.participants) {
    if (!IsMissing(data, node, participant)) continue;
    const Instant cut = CutTime(data, node, participant);
    if (!next || cut < *next) next = cut;
  }
  return next;
}

void SendSession(const RoundData& data, PeerId peer, const NodeId& node, Outbox& out) {
  if (!data.secagg) return;
  const SecAggServer& server = *data.secagg;
  if (server.stage() > Stage::kKeys && server.stage() <= Stage::kUpdates) {
    SendRoster(data, peer, out);
    if (server.has_ring()) SendRing(data, peer, out);
    if (server.IsMember(node)) SendDelivery(data, peer, std::span(&node, 1), out);
    return;
  }
  if (!server.IsSurvivor(node)) return;
  out.send.push_back({.peer = peer, .envelope = {}, .attach_model = false});
  AskSurvivors(data, std::span(&node, 1), out.send.back().envelope);
}

void AskSurvivors(const RoundData& data, std::span<const NodeId> nodes, proto::Envelope& envelope) {
  const auto fill = [&](auto& message) {
    for (const NodeId& node : nodes) message.add_nodes(node.value());
  };
  if (data.secagg->stage() == Stage::kSignatures) {
    *envelope.mutable_survivor_set() = data.secagg->survivor_set();
    fill(*envelope.mutable_survivor_set());
  } else {
    *envelope.mutable_unmask_request() = data.secagg->unmask_request();
    fill(*envelope.mutable_unmask_request());
  }
}

void StoreSession(const RoundData& data, Outbox& out) {
  out.persist.emplace_back(
      SessionStored{.round = data.round, .attempt = data.attempt, .state = data.secagg->state()});
}

}  // namespace skerry
