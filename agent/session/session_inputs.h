// Everything that can happen to a session machine besides messages and deadlines.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "agent/session/budget_question.h"
#include "common/base/strong_id.h"
#include "common/transport/frame.h"
#include "skerry.pb.h"

namespace skerry {

// Names one training order or one loading order of this process; never reused.
using TrainingId = StrongId<struct TrainingIdTag, uint64_t>;
using LoadingId = StrongId<struct LoadingIdTag, uint64_t>;

// A fresh connection to the coordinator stands. Nothing of the one before it will arrive any more.
struct LinkUp {};
struct LinkDown {
  std::string reason;
};

struct DataProblem {
  NodeId node;
  std::string detail;  // stays in the agent's log
};
// The answer to a LoadDataWork. Nodes without a problem are ready to train.
struct DataLoaded {
  LoadingId loading;
  std::vector<DataProblem> problems;
  std::vector<BudgetAnswer> budgets{};  // one for each question of the work
};

// A sign of life of a training that has made steps.
struct TrainProgressed {
  TrainingId training;
  uint32_t permille = 0;
};

// The answer to a TrainWork; every one is answered, cancelled ones too, and the model is not
// touched after that.
struct TrainDone {
  enum class Outcome { kFinished, kFailed, kCancelled };
  TrainingId training;
  Outcome outcome = Outcome::kFinished;
  Frame upload{};  // kFinished: the encoded update
  // kFailed: one of the reasons an agent may give.
  proto::RejectReason failure = proto::REJECT_REASON_UNSPECIFIED;
  std::string detail{};  // kFailed: for the log
  double train_loss = 0;
};

// The answer to a MaskWork.
struct MaskDone {
  TrainingId training;
  Frame upload{};
};

// SIGTERM or SIGINT: say goodbye and end.
struct LeaveRequested {};

using SessionInput = std::variant<LinkUp, LinkDown, DataLoaded, TrainProgressed, TrainDone,
                                  MaskDone, LeaveRequested>;

}  // namespace skerry
