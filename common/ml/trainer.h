// Local training of one node in one round. Without LibTorch in the header.
//
// A worker thread owns one Trainer and trains one node after the other with it: there is one
// resident model a worker, not one a node. The result depends on the task alone (and on what its
// `random` gives), bit by bit for one build and machine with compute.threads 1: not on other
// workers, on the process's other nodes or on what this trainer trained before.
//
// With privacy.enabled it trains so that the job's guarantee holds once the noise is in:
//   unit record, placement agent        DP-SGD; the noise is in it (private_trainer.h)
//   unit record, placement distributed  minus the sum of one sample's clipped gradients; the caller
//                                       adds the noise, and nothing may leave the node without
//   unit client                         ordinary training, then clipped (update_clip.h); the same
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/ml/compute.h"
#include "common/ml/dataset.h"
#include "common/tensor/parameter_vector.h"

namespace skerry {

class RandomBits;

struct TrainTask {
  SharedModel global;
  SharedDataset dataset;
  std::span<const uint32_t> rows;  // of `dataset`; the node's own
  uint64_t seed = 0;               // TrainingSeed(job seed, node, round)
  // Where samples and noise come from; must be set if privacy is enabled. Never follows from the
  // seed, which the coordinator knows.
  RandomBits* random = nullptr;
  // Unit client with an adaptive clip norm: the round's. Not set: privacy.clip_norm.
  std::optional<double> clip_norm{};
};

// Both may be empty. Called in the trainer's thread, before and after each step.
struct TrainObserver {
  std::function<void(int permille)> progress;  // 0 to 1000, only when it changes
  std::function<bool()> is_cancelled;
};

struct TrainResult {
  std::vector<float> delta;  // local - global, in layout order; or what privacy makes of it
  // In place of `delta` if a round is one step: minus the sum of clipped gradients. In double
  // precision, because a float would be rounded by more than the accounting allows for.
  std::vector<double> gradient_sum;
  uint64_t example_count = 0;  // rows trained on; 0 with privacy, a count is nobody's business
  double train_loss = 0.0;     // mean over the examples of the last epoch; 0 without epochs and
                               // with privacy
  bool is_within_clip = true;  // unit client: the update was not longer than the clip norm
};

class Trainer {
 public:
  // Needs the job's model, training, strategy (FedProx's mu) and privacy. Cheap: the resident model
  // is made by the first task that needs it. Fails with kInvalidArgument if model and loss do not
  // go together or as PrivateTrainer::Create does, or as CheckDevice does.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(const JobConfig& job,
                                                         const ComputeConfig& compute);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  // With training.local_epochs 0 the delta is zero and LibTorch is not touched, unless a round is
  // one step over all nodes. Fails with
  //   kInvalidArgument    rows, labels or model do not fit the job (nothing was trained)
  //   kCancelled          observer.is_cancelled said so
  //   kOutOfRange         loss, weights or gradients stopped being finite numbers
  //   kResourceExhausted, kInternal   LibTorch failed
  // and is ready for the next task in every case.
  absl::StatusOr<TrainResult> Train(const TrainTask& task, const TrainObserver& observer = {});

 private:
  class Impl;
  explicit Trainer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
