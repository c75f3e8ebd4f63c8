// Reports the steps of a training that are done. Inner header of the trainers.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "common/ml/trainer.h"

namespace skerry {

class TrainProgress {
 public:
  // `observer` must outlive it; `step_count` must be at least 1.
  TrainProgress(const TrainObserver& observer, uint64_t step_count)
      : observer_(observer), step_count_(step_count) {}

  // kCancelled if the observer wants no further step.
  absl::Status BeginStep() const {
    if (!observer_.is_cancelled || !observer_.is_cancelled()) return absl::OkStatus();
    return absl::CancelledError("training was cancelled");
  }

  void FinishStep() {
    const auto permille = static_cast<int>(++done_ * 1000 / step_count_);
    if (permille == last_ || !observer_.progress) return;
    last_ = permille;
    observer_.progress(permille);
  }

 private:
  const TrainObserver& observer_;
  uint64_t step_count_;
  uint64_t done_ = 0;
  int last_ = 0;
};

}  // namespace skerry
