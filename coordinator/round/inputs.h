// Everything that can happen to a round machine. Each phase has an answer to each of these
// (phases.h); what they have in common is in answers.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "common/base/strong_id.h"
#include "common/tensor/parameter_vector.h"
#include "coordinator/round/records.h"
#include "skerry.pb.h"

namespace skerry {

// ---- membership -------------------------------------------------------------------------------

// A node of the roster has proven itself over this connection. Repeated for a repeated Join.
struct NodeJoined {
  NodeId node;
  PeerId peer;
};
struct NodeLeft {
  NodeId node;
  std::string reason;  // in words, for people
};
struct RosterChanged {
  std::vector<NodeId> nodes;  // all of them, sorted
};

// ---- the shell's work --------------------------------------------------------------------------

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
// All of it has arrived, and it breaks the job's encoding.
struct UploadBroken {
  NodeId node;
  RoundId round;
  uint64_t content_id = 0;
};
// The sum of the current round can no longer be trusted (a spool file that cannot be read back).
struct SumLost {
  std::string detail;
};
// The sum of masked updates is durable.
struct SumSealed {
  RoundId round;
  AttemptId attempt;
  absl::Status status;  // not OK: the run fails (disk full, ...)
};
struct CommitDone {
  RoundId round;
  // The nodes' shares do not open the sum: the attempt is lost, nothing has changed.
  bool is_unmasking_broken = false;
  absl::Status status;  // not OK: the run fails (disk full, ...), state stays resumable
  std::string model_sha256;
  double weight_sum = 0;
  double clamped_sum = 0;
  double update_norm = 0;
  std::optional<NodeMetrics> node_metrics;
  std::optional<CheckpointFiles> checkpoint;
  std::shared_ptr<const ParameterVector> aggregate;
  std::optional<double> clip_norm{};  // of the next round, if the job's is adaptive
};
// The answer to an EvaluateWork; settles older ones too, if the shell left them out. A failed
// evaluation is an event in the report, not the end of the run. No metrics: nothing to record.
struct EvaluationDone {
  EvaluationRecorded result;
  absl::Status status;
};
struct StopRequested {  // SIGTERM or SIGINT
  std::string detail;
};

using Input =
    std::variant<NodeJoined, NodeLeft, RosterChanged, UploadAdvanced, UploadComplete, UploadBroken,
                 SumLost, SumSealed, CommitDone, EvaluationDone, StopRequested>;

// ---- messages, with the connection they came over -----------------------------------------------

template <typename Message>
struct Received {
  PeerId peer;
  const Message& message;
};
using ProgressReceived = Received<proto::Progress>;
using FailureReceived = Received<proto::NodeFailure>;
using AdvertReceived = Received<proto::KeyAdvert>;
using RevealReceived = Received<proto::RingReveal>;
using SharesReceived = Received<proto::KeyShares>;
using SignatureReceived = Received<proto::SurvivorSignature>;
using UnmaskSharesReceived = Received<proto::UnmaskShares>;
struct OfferReceived {
  PeerId peer;
  const proto::UploadOffer& message;
  bool has_raw_frame = false;
};
struct DeadlineReached {};

}  // namespace skerry
