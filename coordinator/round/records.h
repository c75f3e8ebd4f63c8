// What a round machine wants made durable, and what it needs back after a restart. Written by
// store/ in the order given, one transaction per outbox, before anything of that outbox is sent.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/base/strong_id.h"
#include "common/tensor/parameter_vector.h"
#include "skerry.pb.h"

namespace skerry {

// How a node's part in one round ended, or stands.
enum class Participation {
  kInvited,    // drawn; not connected so far
  kTasked,     // was sent the task
  kTraining,   // reports progress (or is queued behind a node that does)
  kUploading,  // its upload is under way
  kAccepted,   // its update is in the sum
  kFailed,     // said that it cannot, with a reason
  kCut,        // no progress for round.stall_timeout_ms after the quorum was met
  kSurplus,    // over-selection: enough updates had arrived
};
inline constexpr size_t kParticipationCount = 8;

// "accepted", for people and files.
std::string_view ParticipationName(Participation participation);

struct ParticipantRecord {
  NodeId node;
  Participation participation = Participation::kInvited;
  std::string reason;                      // for kFailed and kCut, in words
  std::optional<Duration> finished_after;  // kAccepted: since the round began
};

// A round was begun with these nodes. Durable before the first task is sent.
struct RoundStarted {
  RoundId round;
  AttemptId attempt;
  std::vector<NodeId> invited;  // sorted
};

// Sums over the nodes that evaluated the round's starting model on their held-out rows.
struct NodeMetrics {
  double examples = 0;
  double correct = 0;
  double loss_sum = 0;
};

// Where the time of a round went.
struct RoundTimings {
  Duration until_quorum{};  // from the first task to the quorum's last update
  Duration until_closed{};  // from the quorum to the decision to commit
  Duration committing{};    // decode, strategy, checkpoint
};

struct CheckpointFiles {
  std::string model;  // relative to the run directory
  std::string state;  // empty if the strategy keeps none
};

// A round's result. Durable before RoundClosed or the next task is sent.
struct RoundCommitted {
  RoundId round;
  AttemptId attempt;
  // Nothing was summed: the model is the one before. Only of secret cohorts (SkipRound).
  bool is_skipped = false;
  std::vector<ParticipantRecord> participants;  // everyone invited, sorted by node
  std::string model_sha256;                     // of the new model, lower-case hex
  double weight_sum = 0;                        // examples behind the update
  double clamped_sum = 0;                       // update coordinates clamped to encoding.range
  double update_norm = 0;                       // L2 norm of the aggregate
  std::optional<NodeMetrics> node_metrics;      // of the model the round started from
  RoundTimings timings;
  // One of the two: files that hold the new model and strategy state, or, between checkpoints, the
  // decoded aggregate from which a restart computes them again.
  std::optional<CheckpointFiles> checkpoint;
  std::shared_ptr<const ParameterVector> aggregate;
};

// How far the secure aggregation session of the open round has come; replaces what was stored of
// the round before. Durable before anything that depends on it is sent, so that a restart goes on
// with the same session.
struct SessionStored {
  RoundId round;
  AttemptId attempt;
  proto::SessionState state;
};

// What is charged once: an attempt at a round.
struct ChargeKey {
  RoundId round;
  AttemptId attempt;
  bool operator==(const ChargeKey&) const = default;
};

// A release is about to be possible: the budget is charged for it, whatever comes of it. Durable
// before a sum can be opened, or before a task for updates that are noisy by themselves is sent.
struct BudgetCharged {
  RoundId round;
  AttemptId attempt;
  double noise_multiplier = 0;  // z, planned: with as few honest survivors as may be
  double noise_realised = 0;    // z with those there were
  double sampling_rate = 0;     // 1: everyone
  int64_t steps = 0;            // that a node took in it
  uint64_t survivors = 0;
  double epsilon_spent = 0;  // an upper bound after this charge, for the job's observer
  // With secret cohorts the insider's: as if one node had been in every round's.
  std::optional<double> epsilon_insider{};
  std::optional<double> clip_norm{};  // of the attempt, if the job's is adaptive
  bool is_skipped = false;            // the round is skipped, and paid for all the same
};

// The coordinator's test set on model `version`; absent numbers do not apply to the loss.
struct EvaluationRecorded {
  ModelVersion version;
  uint64_t examples = 0;
  std::map<std::string, double> metrics;  // "loss", "accuracy", "auc", "f1", "mae"
};

// Something a person wants to find in the report: a node lost, cut, refused, joined late, ...
struct EventRecorded {
  RoundId round;
  std::string kind;  // a few words, lower case: "node left"
  std::string node;  // may be empty
  std::string detail;
};

enum class RunStatus { kRunning, kCompleted, kFailed, kInterrupted, kBudgetExhausted };

struct RunEnded {
  RunStatus status = RunStatus::kCompleted;
  std::string detail;
};

using Record = std::variant<RoundStarted, SessionStored, BudgetCharged, RoundCommitted,
                            EvaluationRecorded, EventRecorded, RunEnded>;

// Where a run stands after a restart.
struct RestoredRun {
  RoundId last_committed;                  // 0: none
  std::optional<RoundStarted> open_round;  // begun, not committed
  // Of the open round, if secure aggregation had come so far.
  std::optional<proto::SessionState> session;
  // Of the open round: whose updates are in the sum that has the coordinator's noise already. That
  // sum is committed and no other.
  std::optional<std::vector<NodeId>> noisy_survivors;
  int64_t charge_count = 0;         // in the privacy ledger
  ChargeKey newest_charge;          // of these; zero if there is none
  bool is_newest_skipped = false;   // that charge was for a round to be skipped
  std::optional<double> clip_norm;  // of the next round, if the job's is adaptive
  std::string model_sha256;         // of version last_committed
  ModelVersion last_evaluated;      // newest EvaluationRecorded; 0: none
};

}  // namespace skerry
