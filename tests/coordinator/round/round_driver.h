// Drives a RoundMachine the way the coordinator's shell does, one step a call, and keeps what came
// out. Node i of the roster is "node-i", joined over peer i unless a test says otherwise.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "coordinator/round/round_machine.h"
#include "tests/support/status_matchers.h"

namespace skerry {

inline NodeId Node(int i) { return NodeId(fmt::format("node-{}", i)); }
inline PeerId Peer(int i) { return PeerId(static_cast<uint64_t>(i)); }

inline std::vector<NodeId> RosterOf(int count) {
  std::vector<NodeId> roster;
  for (int i = 1; i <= count; ++i) roster.push_back(Node(i));
  std::sort(roster.begin(), roster.end());
  return roster;
}

// Four nodes, all invited, quorum 2, 30 s of stalling, 900 s of waiting, no evaluation but the
// last.
inline RoundPolicy SmallPolicy() {
  RoundPolicy policy;
  policy.seed = 42;
  policy.round.count = 3;
  policy.round.nodes = 4;
  policy.round.quorum = 2;
  policy.evaluation.every_rounds = 0;
  policy.model_bytes = 400;
  policy.upload_bytes = 404;
  policy.scale_bits = 20;
  return policy;
}

inline RestoredRun FreshRun() {
  RestoredRun run;
  run.model_sha256 = std::string(64, '0');
  return run;
}

template <typename T, typename Variant>
std::vector<T> Pick(const std::vector<Variant>& items) {
  std::vector<T> picked;
  for (const Variant& item : items) {
    if (const T* value = std::get_if<T>(&item)) picked.push_back(*value);
  }
  return picked;
}

class RoundDriver {
 public:
  explicit RoundDriver(RoundPolicy policy = SmallPolicy(), std::vector<NodeId> roster = RosterOf(4),
                       RestoredRun run = FreshRun())
      : machine(std::move(policy), std::move(roster), std::move(run)) {}

  Outbox Start() {
    Outbox out;
    machine.Start(now, out);
    return out;
  }
  Outbox Do(const Input& input) {
    Outbox out;
    machine.Handle(input, now, out);
    return out;
  }
  Outbox Say(PeerId peer, const proto::Envelope& message, bool has_raw_frame = false) {
    Outbox out;
    machine.HandleMessage(peer, message, has_raw_frame, now, out);
    return out;
  }
  Outbox Deadline() {
    Outbox out;
    machine.HandleDeadline(now, out);
    return out;
  }
  Outbox Join(int i) { return Do(NodeJoined{Node(i), Peer(i)}); }
  Outbox Leave(int i) { return Do(NodeLeft{Node(i), "disconnected"}); }

  static proto::Envelope OfferMessage(int i, uint64_t round, uint64_t content_id = 7,
                                      uint64_t bytes = 404) {
    proto::Envelope message;
    proto::UploadOffer& offer = *message.mutable_upload_offer();
    offer.set_node(Node(i).value());
    offer.set_round(round);
    offer.set_attempt(1);
    offer.set_bytes(bytes);
    offer.set_content_id(content_id);
    return message;
  }
  static proto::Envelope ProgressMessage(int i, uint64_t round, uint32_t permille = 500) {
    proto::Envelope message;
    message.mutable_progress()->set_round(round);
    proto::NodeProgress& progress = *message.mutable_progress()->add_nodes();
    progress.set_node(Node(i).value());
    progress.set_phase(proto::NodeProgress::PHASE_TRAINING);
    progress.set_permille(permille);
    return message;
  }
  static proto::Envelope FailureMessage(int i, uint64_t round,
                                        proto::RejectReason reason = proto::REJECT_REASON_DATA) {
    proto::Envelope message;
    proto::NodeFailure& failure = *message.mutable_node_failure();
    failure.set_node(Node(i).value());
    failure.set_round(round);
    failure.set_attempt(1);
    failure.set_reason(reason);
    return message;
  }

  Outbox Offer(int i, uint64_t content_id = 7) {
    return Say(Peer(i), OfferMessage(i, round(), content_id));
  }
  Outbox Progress(int i, uint32_t permille = 500) {
    return Say(Peer(i), ProgressMessage(i, round(), permille));
  }
  Outbox Fail(int i, proto::RejectReason reason = proto::REJECT_REASON_DATA) {
    return Say(Peer(i), FailureMessage(i, round(), reason));
  }
  Outbox Complete(int i, uint64_t content_id = 7) {
    return Do(UploadComplete{Node(i), RoundId(round()), content_id});
  }
  // Offers and delivers.
  Outbox Deliver(int i, uint64_t content_id = 7) {
    Offer(i, content_id);
    return Complete(i, content_id);
  }
  Outbox Commit() {
    CommitDone done;
    done.round = RoundId(round());
    done.model_sha256 = fmt::format("{:064x}", round());
    return Do(done);
  }

  Outbox Evaluate(uint64_t version, absl::Status status = absl::OkStatus()) {
    EvaluationDone done;
    done.result.version = ModelVersion(version);
    if (status.ok()) done.result.metrics["loss"] = 0.5;
    done.status = std::move(status);
    return Do(done);
  }

  uint64_t round() const { return machine.data().round.value(); }
  Participation PartOf(int i) const {
    return machine.data().participants.at(Node(i)).participation;
  }

  Instant now{std::chrono::hours(1)};
  RoundMachine machine;
};

// "node-1: reason" of each verdict in the outbox's UploadResults, in order.
inline std::vector<std::pair<std::string, proto::RejectReason>> Verdicts(const Outbox& out) {
  std::vector<std::pair<std::string, proto::RejectReason>> verdicts;
  for (const OutgoingMessage& message : out.send) {
    for (const proto::NodeVerdict& verdict : message.envelope.upload_result().nodes()) {
      verdicts.emplace_back(verdict.node(), verdict.reason());
    }
  }
  return verdicts;
}

// Everything in an outbox as text: two equal outboxes give equal text.
std::string Print(const Outbox& out);

}  // namespace skerry
