#include "coordinator/round/answers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/protocol/codec.h"
#include "common/protocol/limits.h"
#include "coordinator/round/key_exchange.h"
#include "coordinator/round/notices.h"
#include "coordinator/round/senders.h"

namespace skerry {
namespace {

using proto::RejectReason;

// A refused update is worth an event, but a node that insists must not fill the disk with them.
void RefuseUpdate(const OfferReceived& in, NodeState* state, RejectReason reason, RoundData& data,
                  Outbox& out) {
  const NodeId node(in.message.node());
  const bool is_ordinary = reason == proto::REJECT_REASON_COHORT_FULL;  // over-selection
  if (state != nullptr && state->refusal_recorded != data.round && !is_ordinary) {
    state->refusal_recorded = data.round;
    const bool is_late = reason == proto::REJECT_REASON_ROUND_CLOSED;
    RecordEvent(
        data, is_late ? "late update refused" : "update refused", node,
        fmt::format("update of round {}: {}", in.message.round(), protocol::Describe(reason)), out);
  }
  Refuse(in.peer, in.message.round(), node, reason, data, out);
}

// Nothing but what the site says itself; anything else is its fault all the same.
RejectReason FailureReason(RejectReason said) {
  return proto::RejectReason_IsValid(said) && said >= proto::REJECT_REASON_POLICY
             ? said
             : proto::REJECT_REASON_INTERNAL;
}

void Disconnect(NodeState& state, RoundData& data) {
  const auto peer = data.peers.find(*state.peer);
  if (--peer->second == 0) data.peers.erase(peer);
  state.peer.reset();
  --data.connected_count;
}

void Connect(NodeState& state, PeerId peer, RoundData& data) {
  ++data.peers[peer];
  state.peer = peer;
  ++data.connected_count;
}

}  // namespace

void Dismiss(const NodeId& node, Participant& participant, Dismissal dismissal, RoundData& data,
             Outbox& out) {
  const bool was_uploading = participant.participation == Participation::kUploading;
  if (was_uploading) out.uploads.emplace_back(DropUpload{node});
  const bool is_cut = dismissal.participation == Participation::kCut;
  RecordEvent(data, is_cut ? "node cut" : "node failed", node, dismissal.reason, out);
  participant.reason = std::move(dismissal.reason);
  participant.refusal = dismissal.refusal;
  data.SetParticipation(participant, dismissal.participation);
}

void Absorb(const ProgressReceived& in, RoundData& data, Instant now, Outbox& out) {
  for (const proto::NodeProgress& progress : in.message.nodes()) {
    const NodeId node(progress.node());
    const Sender sender = FindSender(data, in.peer, node, in.message.round());
    if (sender.participant == nullptr) {
      Refuse(in.peer, in.message.round(), node, sender.refusal, data, out);
      continue;
    }
    Participant& participant = *sender.participant;
    if (participant.refusal != proto::REJECT_REASON_UNSPECIFIED) {
      Refuse(in.peer, in.message.round(), node, participant.refusal, data, out);
      continue;
    }
    SignOfLife(*sender.state, participant, data, now);
    if (!participant.is_outstanding()) continue;  // accepted
    if (participant.participation == Participation::kInvited ||
        participant.participation == Participation::kTasked) {
      data.SetParticipation(participant, Participation::kTraining);
    }
    participant.permille = std::min(progress.permille(), 1000u);
  }
}

void Absorb(const OfferReceived& in, RoundData& data, Instant now, Outbox& out) {
  const proto::UploadOffer& offer = in.message;
  const NodeId node(offer.node());
  const Sender sender = FindSender(data, in.peer, node, offer.round());
  if (sender.participant == nullptr) {
    RefuseUpdate(in, sender.state, sender.refusal, data, out);
    return;
  }
  if (IsStale(offer.attempt(), data)) return;
  if (offer.attempt() != data.attempt.value()) {
    RefuseUpdate(in, sender.state, proto::REJECT_REASON_WRONG_ROUND, data, out);
    return;
  }
  Participant& participant = *sender.participant;
  if (participant.refusal != proto::REJECT_REASON_UNSPECIFIED) {
    RefuseUpdate(in, sender.state, participant.refusal, data, out);
    return;
  }
  if (participant.participation == Participation::kAccepted) {
    if (participant.content_id == offer.content_id()) {
      // Its acknowledgement may have been lost.
      SendVerdict(data, in.peer, offer.round(), node, proto::REJECT_REASON_UNSPECIFIED, out);
    } else {
      RefuseUpdate(in, sender.state, proto::REJECT_REASON_DUPLICATE, data, out);
    }
    return;
  }
  if (data.secagg && !data.secagg->IsMember(node)) {
    RefuseUpdate(in, sender.state, proto::REJECT_REASON_KEYS_CLOSED, data, out);
    return;
  }
  if (offer.bytes() != data.policy.upload_bytes) {
    // The agent forgets a refused upload, so nothing more will come: waiting would be in vain.
    Dismiss(node, participant,
            {.refusal = proto::REJECT_REASON_WRONG_LENGTH,
             .reason = fmt::format("its update has {} bytes instead of {}", offer.bytes(),
                                   data.policy.upload_bytes)},
            data, out);
    Refuse(in.peer, offer.round(), node, proto::REJECT_REASON_WRONG_LENGTH, data, out);
    return;
  }
  // Another content while one is being received: the agent was restarted and trained again.
  const bool is_new_content =
      participant.content_id && *participant.content_id != offer.content_id();
  if (is_new_content) out.uploads.emplace_back(DropUpload{node});
  SignOfLife(*sender.state, participant, data, now);
  participant.content_id = offer.content_id();
  data.SetParticipation(participant, Participation::kUploading);
  out.uploads.emplace_back(ReceiveUpload{.node = node,
                                         .peer = in.peer,
                                         .round = data.round,
                                         .content_id = offer.content_id(),
                                         .bytes = offer.bytes(),
                                         .is_inline = in.has_raw_frame});
}

void Absorb(const FailureReceived& in, RoundData& data, Instant, Outbox& out) {
  const proto::NodeFailure& failure = in.message;
  const NodeId node(failure.node());
  const RejectReason reason = FailureReason(failure.reason());
  const Dismissal dismissal{.refusal = reason, .reason = protocol::Describe(reason)};
  if (failure.round() == 0) {
    NodeState* state = data.FindNode(node);
    if (const RejectReason refusal = CheckSender(state, in.peer);
        refusal != proto::REJECT_REASON_UNSPECIFIED) {
      Refuse(in.peer, failure.round(), node, refusal, data, out);
      return;
    }
    const bool is_repeat = state->job_failure != proto::REJECT_REASON_UNSPECIFIED;
    state->job_failure = reason;
    Participant* participant = data.FindParticipant(node);
    if (participant != nullptr && participant->is_outstanding()) {
      Dismiss(node, *participant, dismissal, data, out);
    } else if (!is_repeat) {
      RecordEvent(data, "node failed", node, dismissal.reason, out);
    }
    return;
  }
  Sender sender = FindSender(data, in.peer, node, failure.round());
  if (sender.participant != nullptr && IsStale(failure.attempt(), data)) return;
  if (sender.participant != nullptr && failure.attempt() != data.attempt.value()) {
    sender = {.refusal = proto::REJECT_REASON_WRONG_ROUND};
  }
  if (sender.participant == nullptr) {
    Refuse(in.peer, failure.round(), node, sender.refusal, data, out);
    return;
  }
  if (sender.participant->participation == Participation::kAccepted) {
    sender.participant->has_lost_session = true;  // it says that it cannot help any more
  }
  // An accepted update stays in the sum, and a node is out of a round once.
  if (sender.participant->is_outstanding()) {
    Dismiss(node, *sender.participant, dismissal, data, out);
  }
}

void Absorb(const NodeJoined& in, RoundData& data, Instant now, Outbox& out) {
  NodeState* state = data.FindNode(in.node);
  if (state == nullptr) return;  // removed from the roster while its Join was under way
  const bool is_repeat = state->peer == in.peer;
  if (!is_repeat) {
    if (state->peer) Disconnect(*state, data);
    Connect(*state, in.peer, data);
    state->job_failure = proto::REJECT_REASON_UNSPECIFIED;
    if (state->has_joined) {
      RecordEvent(data, "node rejoined", in.node, "", out);
    } else if (data.round > data.first_round) {
      RecordEvent(data, "node joined late", in.node,
                  fmt::format("first seen in round {}", data.round.value()), out);
    }
    state->has_joined = true;
  }
  state->last_seen = now;
  Participant* participant = data.FindParticipant(in.node);
  if (participant == nullptr) return;
  if (participant->participation == Participation::kAccepted) {
    SendSession(data, in.peer, in.node, out);  // it may have to help to open the sum
  }
  if (!participant->is_outstanding()) return;
  SignOfLife(*state, *participant, data, now);
  if (participant->participation == Participation::kInvited) {
    data.SetParticipation(*participant, Participation::kTasked);
  }
  if (!data.first_task_at) data.first_task_at = now;
  SendTask(data, in.peer, in.node, out);
  SendSession(data, in.peer, in.node, out);
}

void Absorb(const NodeLeft& in, RoundData& data, Instant, Outbox& out) {
  NodeState* state = data.FindNode(in.node);
  if (state == nullptr || !state->peer) return;
  Disconnect(*state, data);
  RecordEvent(data, "node left", in.node, in.reason, out);
}

void Absorb(const RosterChanged& in, RoundData& data, Instant now, Outbox& out) {
  std::vector<NodeId> removed;
  std::set_difference(data.roster.begin(), data.roster.end(), in.nodes.begin(), in.nodes.end(),
                      std::back_inserter(removed));
  for (const NodeId& node : removed) {
    NodeState& state = *data.FindNode(node);
    if (state.peer) Disconnect(state, data);
    data.nodes.erase(node);
    Participant* participant = data.FindParticipant(node);
    if (participant != nullptr && participant->is_outstanding()) {
      Dismiss(node, *participant, {.refusal = proto::REJECT_REASON_REVOKED, .reason = "revoked"},
              data, out);
    }
  }
  for (const NodeId& node : in.nodes) {
    data.nodes.try_emplace(node, NodeState{.last_seen = now});
  }
  data.roster = in.nodes;
}

void Absorb(const UploadAdvanced& in, RoundData& data, Instant now, Outbox&) {
  NodeState* state = data.FindNode(in.node);
  Participant* participant = data.FindParticipant(in.node);
  if (state != nullptr && participant != nullptr) SignOfLife(*state, *participant, data, now);
}

void Absorb(const UploadComplete& in, RoundData& data, Instant now, Outbox& out) {
  Participant* participant = data.FindParticipant(in.node);
  const bool is_uploading =
      participant != nullptr && participant->participation == Participation::kUploading;
  const bool is_wanted =
      is_uploading && in.round == data.round && participant->content_id == in.content_id;
  if (!is_wanted) {
    // A newer upload of the node may be under way, or its accepted one on its way to the sum, under
    // the same name: those are not to be dropped for the sake of an old one.
    const bool is_name_in_use =
        is_uploading ||
        (participant != nullptr && participant->participation == Participation::kAccepted);
    if (!is_name_in_use) out.uploads.emplace_back(DropUpload{in.node});
    return;
  }
  NodeState& state = *data.FindNode(in.node);  // a node that leaves the roster leaves the round
  SignOfLife(state, *participant, data, now);
  participant->permille = 1000;
  participant->finished_after = now - data.round_started_at;
  data.SetParticipation(*participant, Participation::kAccepted);
  out.work.emplace_back(
      AddUploadWork{.node = in.node, .round = in.round, .content_id = in.content_id});
  if (state.peer) {
    SendVerdict(data, *state.peer, in.round.value(), in.node, proto::REJECT_REASON_UNSPECIFIED,
                out);
  }
}

void Absorb(const UploadBroken& in, RoundData& data, Instant, Outbox& out) {
  Participant* participant = data.FindParticipant(in.node);
  const bool is_current = participant != nullptr && in.round == data.round &&
                          participant->participation == Participation::kUploading &&
                          participant->content_id == in.content_id;
  if (!is_current) return;
  const NodeState& state = *data.FindNode(in.node);
  Dismiss(
      in.node, *participant,
      {.refusal = proto::REJECT_REASON_MALFORMED, .reason = "its update breaks the job's encoding"},
      data, out);
  ++data.rejects[proto::REJECT_REASON_MALFORMED];
  if (state.peer) {
    SendVerdict(data, *state.peer, in.round.value(), in.node, proto::REJECT_REASON_MALFORMED, out);
  }
}

void Absorb(const EvaluationDone& in, RoundData& data, Instant, Outbox& out) {
  if (in.result.version <= data.last_evaluated) return;
  data.last_evaluated = in.result.version;
  if (data.evaluation_outstanding && *data.evaluation_outstanding <= in.result.version) {
    data.evaluation_outstanding.reset();
  }
  if (!in.status.ok()) {
    RecordEvent(
        data, "evaluation failed", NodeId(),
        fmt::format("version {}: {}", in.result.version.value(), std::string(in.status.message())),
        out);
  } else if (!in.result.metrics.empty()) {
    out.persist.emplace_back(in.result);
  }
}

}  // namespace skerry
