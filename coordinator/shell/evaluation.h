// Evaluates models on the coordinator's test set, on a thread of its own, while the rounds go on.
#pragma once

#include <memory>
#include <optional>

#include "common/base/worker.h"
#include "common/config/job_config.h"
#include "common/ml/dataset.h"
#include "common/tensor/parameter_vector.h"
#include "coordinator/round/inputs.h"

namespace skerry {

class Evaluation {
 public:
  // `notify` is called on the thread after each result.
  Evaluation(JobConfig job, std::function<void()> notify);
  // Cancels what is under way.
  ~Evaluation() { is_stopping_ = true; }

  // Holds the model until it is evaluated. The test set is read at the first call; a job without
  // one gets results without metrics.
  void Start(ModelVersion version, SharedModel model);
  std::optional<EvaluationDone> TryTake() { return worker_.TryTake(); }

 private:
  EvaluationDone Run(ModelVersion version, SharedModel model);

  JobConfig job_;
  std::optional<absl::StatusOr<SharedDataset>> test_set_;  // on the worker's thread
  std::atomic<bool> is_stopping_{false};
  Worker<EvaluationDone> worker_;  // last: it uses the members above
};

}  // namespace skerry
