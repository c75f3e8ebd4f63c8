// What survives from phase to phase of the coordinator's rounds, and what the live view, `status`
// and the report show of a run. Owned by RoundMachine; changed by answers.h and the phases only.
//
// A node of the roster that is not in the current round costs a NodeState and two copies of its
// name, about 200 bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "common/base/clock.h"
#include "common/secagg/secagg_server.h"
#include "coordinator/round/records.h"
#include "coordinator/round/round_policy.h"
#include "skerry.pb.h"

namespace skerry {

// One invited node in the current round.
struct Participant {
  Participation participation = Participation::kInvited;
  std::string reason;                  // kFailed, kCut: in words
  uint32_t permille = 0;               // of its training
  std::optional<uint64_t> content_id;  // of the upload being received or accepted
  Instant last_progress{};             // sign of life the stall rule counts from
  std::optional<Duration> finished_after;
  // What a message of this node is answered once it is out of the round.
  proto::RejectReason refusal = proto::REJECT_REASON_UNSPECIFIED;
  // Its update is in the masked sum, but it cannot help to open it any more.
  bool has_lost_session = false;

  // Neither accepted nor out of the round.
  bool is_outstanding() const {
    return participation == Participation::kInvited || participation == Participation::kTasked ||
           participation == Participation::kTraining || participation == Participation::kUploading;
  }
};

// One node of the roster, whatever the round.
struct NodeState {
  std::optional<PeerId> peer{};  // the connection it is joined over
  Instant last_seen{};           // last sign of life; when it entered the roster, if there was none
  RoundId refusal_recorded{};    // a refused update is one event per node and round
  // Said that it cannot take part in this job; lifted by a fresh join.
  proto::RejectReason job_failure = proto::REJECT_REASON_UNSPECIFIED;
  bool has_joined = false;  // at any time
};

struct RoundData {
  RoundPolicy policy;
  Instant started_at{};

  // Membership.
  std::vector<NodeId> roster;                    // sorted
  absl::flat_hash_map<NodeId, NodeState> nodes;  // exactly those of the roster
  absl::btree_map<PeerId, uint32_t> peers;       // connections with joined nodes, and how many
  uint32_t connected_count = 0;                  // joined nodes

  // The newest model.
  RoundId first_round;  // that this process ran
  RoundId last_committed;
  std::string model_sha256;
  std::optional<double> clip_norm;  // of the round after it, if the job's is adaptive

  int64_t charge_count = 0;  // releases that the privacy budget was charged for
  ChargeKey newest_charge;

  // The current round; between rounds, the last one.
  RoundId round;
  AttemptId attempt;
  uint32_t quorum = 0;
  uint32_t target = 0;  // accepted updates that complete the round
  absl::btree_map<NodeId, Participant> participants;
  std::array<uint32_t, kParticipationCount> counts{};  // of participants, by participation
  Instant round_started_at{};
  std::optional<Instant> first_task_at;
  std::optional<Instant> quorum_at;
  Instant last_progress{};  // of anyone outstanding
  // The current attempt's secure aggregation, if the job has it, and since when its stage lasts.
  std::optional<SecAggServer> secagg;
  Instant session_stage_since{};

  // Refused messages by reason, since the start.
  std::map<proto::RejectReason, uint64_t> rejects;

  ModelVersion last_evaluated;
  std::optional<ModelVersion> evaluation_outstanding;
  std::optional<RunEnded> ended;

  uint32_t count(Participation participation) const {
    return counts[static_cast<size_t>(participation)];
  }
  uint32_t accepted_count() const { return count(Participation::kAccepted); }
  uint32_t outstanding_count() const {
    return count(Participation::kInvited) + count(Participation::kTasked) +
           count(Participation::kTraining) + count(Participation::kUploading);
  }
  bool is_replay() const { return !policy.replay.empty(); }

  // Null if the node is not in the roster, or not in the round.
  NodeState* FindNode(const NodeId& node);
  const NodeState* FindNode(const NodeId& node) const;
  Participant* FindParticipant(const NodeId& node);

  void AddParticipant(const NodeId& node, Participant participant);
  void SetParticipation(Participant& participant, Participation participation);
  void ClearParticipants();
};

}  // namespace skerry
