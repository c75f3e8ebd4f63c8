// The one output of the session machine. After each call the shell drains it in this order:
// persist, send, cancel, work, report, reconnect, finished. The machine only appends. Bulk (offers
// with their bytes, chunks) does not go through here: SessionMachine::NextBulk gives it one by one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/session/session_inputs.h"
#include "common/base/strong_id.h"
#include "common/config/job_config.h"
#include "common/privacy/spending.h"
#include "common/secagg/mask.h"
#include "common/tensor/parameter_vector.h"
#include "common/transport/frame.h"
#include "skerry.pb.h"

namespace skerry {

// ---- work -------------------------------------------------------------------------------------

// Make the hosted nodes' data ready for this job, and answer what is asked about their budgets
// (AnswerBudget). Comes back as DataLoaded. A later one replaces it, job and all.
struct LoadDataWork {
  LoadingId loading;
  std::shared_ptr<const JobConfig> job;
  ParameterLayoutPtr layout;
  std::vector<BudgetQuestion> budgets{};
};

// Train one node from `model`. Comes back as TrainDone.
struct TrainWork {
  TrainingId training;
  NodeId node;
  RoundId round;
  AttemptId attempt;
  uint32_t scale_bits = 0;
  SharedModel model;
  std::optional<double> clip_norm{};  // of the round, if the job's is adaptive
};

// Add the masks to a trained update. Comes back as MaskDone; never cancelled. The keys are wiped
// when the work is dropped.
struct MaskWork {
  TrainingId training;
  Frame update;
  std::shared_ptr<const std::vector<MaskKey>> masks;
};

using SessionWork = std::variant<LoadDataWork, TrainWork, MaskWork>;

// ---- events -----------------------------------------------------------------------------------

enum class SessionEventKind {
  kJobAccepted,  // detail: the run's id
  kJobRefused,   // by this site: policy, or the job cannot be understood
  kNodeJoined,
  kNodeRefused,  // by the coordinator, with its reason
  kTurnedAway,   // the whole process, with the coordinator's reason
  kRoundBegun,   // count: nodes in the task
  kBudgetShort,  // of the node and those with its history; count: updates that it covers
  kNodeFailed,   // cannot train, with the reason it gave; round 0: in this job
  kNodeTrained,  // value: training loss
  kUploadAccepted,
  kUploadRefused,   // or the node was told to stop, with the coordinator's reason
  kRoundEnded,      // count: 1 if it was committed
  kJobEnded,        // count: 1 if it completed
  kMessageIgnored,  // a message that does not fit
};

// Something for the log. Fields that do not apply are empty.
struct SessionEvent {
  SessionEventKind kind = SessionEventKind::kMessageIgnored;
  NodeId node{};
  RoundId round{};
  uint64_t count = 0;
  double value = 0;
  proto::RejectReason reason = proto::REJECT_REASON_UNSPECIFIED;
  std::string detail{};  // may quote the peer
};

// ---- outbox -----------------------------------------------------------------------------------

struct SessionOutbox {
  // Charges to the site's privacy budget, durable in one transaction before anything of this outbox
  // or any bulk is sent. If that fails, nothing is sent any more and the process ends.
  std::vector<Charge> persist;
  std::vector<proto::Envelope> send;
  // Trainings to stop at the next chance, or not to begin.
  std::vector<TrainingId> cancel;
  std::vector<SessionWork> work;
  std::vector<SessionEvent> report;
  // Close the link and dial again; LinkDown and LinkUp follow.
  bool reconnect = false;
  // The session is over, with this exit code. Set once.
  std::optional<int> finished;
};

// One message of bulk.
struct BulkMessage {
  proto::Envelope envelope;
  std::optional<Frame> raw;
};

}  // namespace skerry
