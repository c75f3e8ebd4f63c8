// The coordinator's half of every round: who is invited, who has answered, when a round is
// complete, cut or given up. Knows no sockets, files, torch or OpenSSL, reads no clock and draws no
// global randomness: the same inputs give the same outputs.
//
// Inputs are a joined node's message, a finished piece of work, a change of membership, or "it is
// now t". Calls carry non-decreasing `now`. After each call the caller drains the outbox (outbox.h)
// and asks NextDeadline() again. One thread.
//
//   Selecting -> Training -> Collecting -> Committing -> Selecting ... -> Finished
//
//   Selecting   draws the cohort from the roster (seed, round), never from who is connected. Waits
//               only while the roster has fewer nodes than the quorum.
//   Training    fewer updates than round.quorum. Waits up to round.wait_timeout without progress of
//               anyone, then the run fails and can be resumed.
//   Collecting  the quorum is met. Nodes without progress for round.stall_timeout are cut. Complete
//               when nobody is outstanding or the cohort size is reached.
//   Committing  the worker decodes the sum, applies the strategy and writes the checkpoint.
//
// Delivery is at least once, so every handler is idempotent: a repeat of an accepted offer is
// answered like the first and changes nothing. A message that does not fit is refused with a
// reason, counted, and costs its sender only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/config/job_config.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/phases.h"
#include "coordinator/round/round_data.h"

namespace skerry {

// What does not change during a run.
struct RoundPolicy {
  uint64_t seed = 0;
  RoundConfig round;
  EvaluationConfig evaluation;
  uint64_t model_bytes = 0;     // 4 x parameters
  uint64_t upload_bytes = 0;    // 4 x encoded length
  uint32_t scale_bits = 0;
  // run --replay: the survivors of each recorded round, round 1 first. They are the cohort and the
  // quorum, and nobody is cut.
  std::vector<std::vector<NodeId>> replay;
};

// ---- inputs -----------------------------------------------------------------------------------

struct NodeJoined {
  NodeId node;
  PeerId peer;
};
struct NodeLeft {
  NodeId node;
  std::string reason;           // in words, for people
};
struct RosterChanged {
  std::vector<NodeId> nodes;    // all of them, sorted
};
// The shell has received bytes of an upload (a sign of life)...
struct UploadAdvanced {
  NodeId node;
};
// ... or all of it.
struct UploadComplete {
  NodeId node;
  RoundId round;
  uint64_t content_id = 0;
};
struct CommitDone {
  RoundId round;
  absl::Status status;          // not OK: the run fails (disk full, ...), state stays resumable
  std::string model_sha256;
  double weight_sum = 0;
  double clamped_sum = 0;
  double update_norm = 0;
  std::optional<NodeMetrics> node_metrics;
  std::optional<CheckpointFiles> checkpoint;
  std::shared_ptr<const ParameterVector> aggregate;
};
struct EvaluationDone {
  EvaluationRecorded result;
};
struct StopRequested {          // SIGTERM or SIGINT
  std::string detail;
};

using Input = std::variant<NodeJoined, NodeLeft, RosterChanged, UploadAdvanced, UploadComplete,
                           CommitDone, EvaluationDone, StopRequested>;

class RoundMachine {
 public:
  RoundMachine(RoundPolicy policy, std::vector<NodeId> roster, RestoredRun restored);

  // Begins (or resumes) the run. Called once, first.
  void Start(Instant now, Outbox& out);
  // A round message (Progress, UploadOffer, NodeFailure) of a peer whose nodes joined. Messages
  // about nodes that did not join over this peer are refused.
  void HandleMessage(PeerId peer, const proto::Envelope& message, bool has_raw_frame, Instant now,
                     Outbox& out);
  void Handle(const Input& input, Instant now, Outbox& out);
  void HandleDeadline(Instant now, Outbox& out);
  // Nothing happens before this instant unless an input arrives; empty: only inputs matter.
  std::optional<Instant> NextDeadline() const;

  bool is_finished() const;
  // The round's data for the live view, `status` and the report. Valid until the next call.
  const RoundData& data() const { return data_; }
  // "collecting", for people.
  std::string_view phase_name() const;
  // What the machine waits for, in one line: "waiting for node-3 (training, 41 %), node-7 (left
  // 12 s ago; cut in 18 s)". Empty when it does not wait.
  std::string WaitingFor(Instant now) const;

 private:
  RoundData data_;
  Phase phase_;
};

}  // namespace skerry
