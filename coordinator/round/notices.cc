#include "coordinator/round/notices.h"

#include <algorithm>

#include "absl/container/btree_set.h"
#include "absl/strings/escaping.h"
#include "common/protocol/limits.h"

namespace skerry {
namespace {

void AddTask(const RoundData& data, PeerId peer, const NodeId& node, OutgoingMessage* open,
             Outbox& out) {
  const bool is_open = open != nullptr && open->peer == peer && open->envelope.has_round_task() &&
                       open->envelope.round_task().round() == data.round.value() &&
                       open->envelope.round_task().attempt() == data.attempt.value() &&
                       open->envelope.round_task().nodes_size() < protocol::kJoinNodesMax;
  if (is_open) {
    open->envelope.mutable_round_task()->add_nodes(node.value());
    return;
  }
  out.send.push_back({.peer = peer, .envelope = {}, .attach_model = false});
  proto::RoundTask& task = *out.send.back().envelope.mutable_round_task();
  task.set_round(data.round.value());
  task.set_attempt(data.attempt.value());
  task.set_model_version(data.last_committed.value());
  task.set_model_bytes(data.policy.model_bytes);
  task.set_model_sha256(absl::HexStringToBytes(data.model_sha256));
  task.set_scale_bits(data.policy.scale_bits);
  if (data.clip_norm) task.set_clip_norm(*data.clip_norm);
  task.add_nodes(node.value());
  out.send.back().attach_model = data.policy.model_bytes <= protocol::kInlineModelBytesMax;
}

proto::UploadResult* OpenResult(PeerId peer, uint64_t round, uint32_t attempt, Outbox& out) {
  if (out.send.empty() || out.send.back().peer != peer) return nullptr;
  proto::Envelope& last = out.send.back().envelope;
  if (!last.has_upload_result() || last.upload_result().round() != round ||
      last.upload_result().attempt() != attempt ||
      last.upload_result().nodes_size() >= protocol::kJoinNodesMax) {
    return nullptr;
  }
  return last.mutable_upload_result();
}

proto::Envelope& Append(PeerId peer, Outbox& out) {
  out.send.push_back({.peer = peer, .envelope = {}, .attach_model = false});
  return out.send.back().envelope;
}

}  // namespace

OutgoingMessage* FindForPeer(PeerId peer, proto::Envelope::BodyCase kind, Outbox& out) {
  const auto found =
      std::find_if(out.send.rbegin(), out.send.rend(), [&](const OutgoingMessage& message) {
        return message.peer == peer && message.envelope.body_case() == kind;
      });
  return found == out.send.rend() ? nullptr : &*found;
}

void SendTask(const RoundData& data, PeerId peer, const NodeId& node, Outbox& out) {
  AddTask(data, peer, node, FindForPeer(peer, proto::Envelope::kRoundTask, out), out);
}

void SendTasks(const RoundData& data, std::vector<PeerNode> nodes, Outbox& out) {
  std::sort(nodes.begin(), nodes.end());
  for (const auto& [peer, node] : nodes) {
    AddTask(data, peer, node, out.send.empty() ? nullptr : &out.send.back(), out);
  }
}

void SendVerdict(const RoundData& data, PeerId peer, uint64_t round, const NodeId& node,
                 proto::RejectReason reason, Outbox& out) {
  const uint32_t attempt = round == data.round.value() ? data.attempt.value() : 0;
  proto::UploadResult* result = OpenResult(peer, round, attempt, out);
  if (result == nullptr) {
    result = Append(peer, out).mutable_upload_result();
    result->set_round(round);
    result->set_attempt(attempt);
  }
  proto::NodeVerdict& verdict = *result->add_nodes();
  verdict.set_node(node.value());
  verdict.set_reason(reason);
}

void SendRoundClosed(const RoundData& data, Outbox& out) {
  absl::btree_set<PeerId> peers;
  for (const auto& [node, participant] : data.participants) {
    const NodeState* state = data.FindNode(node);
    if (state != nullptr && state->peer) peers.insert(*state->peer);
  }
  for (const PeerId peer : peers) {
    proto::RoundClosed& closed = *Append(peer, out).mutable_round_closed();
    closed.set_round(data.round.value());
    closed.set_committed(true);
  }
}

void SendJobEnd(const RoundData& data, bool completed, const std::string& detail, Outbox& out) {
  for (const auto& [peer, joined] : data.peers) {
    proto::JobEnd& end = *Append(peer, out).mutable_job_end();
    end.set_completed(completed);
    end.set_detail(detail.substr(0, protocol::kDetailBytesMax));
  }
}

}  // namespace skerry
