// Trains one node after the other and turns each result into the bytes of its upload: local
// training, evaluation on held-out rows if the job asks for it, and the agent's half of the update
// pipeline. What leaves here has passed the pipeline; nothing else of a node's data does.
//
// One per worker thread, made for one job.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "agent/session/session_inputs.h"
#include "agent/session/session_outbox.h"
#include "agent/training/node_data.h"
#include "common/config/job_config.h"
#include "common/ml/compute.h"
#include "common/ml/trainer.h"
#include "common/secagg/fixed_point.h"

namespace skerry {

class NodeTrainer {
 public:
  static absl::StatusOr<std::unique_ptr<NodeTrainer>> Create(std::shared_ptr<const JobConfig> job,
                                                             const ParameterLayoutPtr& layout,
                                                             const ComputeConfig& compute);

  // Errors of the node (data, NaN, memory) come back as a failed outcome with their reason.
  TrainDone Run(const TrainWork& work, const NodeData& data, const TrainObserver& observer);

 private:
  NodeTrainer(std::shared_ptr<const JobConfig> job, const ComputeConfig& compute,
              UpdateEncoding encoding, std::unique_ptr<Trainer> trainer)
      : job_(std::move(job)),
        compute_(compute),
        encoding_(std::move(encoding)),
        trainer_(std::move(trainer)) {}

  absl::StatusOr<Frame> TrainAndEncode(const TrainWork& work, const NodeData& data,
                                       const TrainObserver& observer, double& train_loss);
  // This node's share, if nodes add noise to a sum.
  absl::Status AddNoise(double clip_norm, std::span<RingElement> coordinates);
  // Trains on made-up rows of the shape of `data`, so that what a machine lacks shows, and makes an
  // upload of zeros, whatever came of it.
  absl::StatusOr<Frame> Rehearse(const Dataset& data, const TrainObserver& observer) const;

  std::shared_ptr<const JobConfig> job_;
  ComputeConfig compute_;
  UpdateEncoding encoding_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace skerry
