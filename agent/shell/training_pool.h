// The worker threads of an agent: one loads data, answers what is asked about budgets and trains,
// the others only train, and one puts masks on what they have trained. Each of the former owns one
// trainer, so there is one resident model a worker, however many nodes the process hosts.
//
// Used from the shell's thread. Results come back in the order they are finished.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/session/session_inputs.h"
#include "agent/session/session_outbox.h"
#include "agent/training/node_data.h"
#include "agent/training/node_trainer.h"
#include "common/base/bounded_queue.h"
#include "common/base/worker.h"
#include "common/ml/compute.h"

namespace skerry {

class TrainingPool {
 public:
  struct Options {
    size_t workers = 1;
    ComputeConfig compute;
    std::vector<NodeSource> nodes;
  };
  // `notify` is called on a worker's thread when there is something to take.
  TrainingPool(Options options, std::function<void()> notify);
  // Cancels what is under way.
  ~TrainingPool();

  void Load(const LoadDataWork& work);
  void Train(const TrainWork& work);
  void Cancel(TrainingId training);
  // On a thread of its own: a finished update does not wait for another node's training.
  void Mask(const MaskWork& work);

  // The next finished loading, training or masking, or how far one has come.
  std::optional<SessionInput> TryTake();

 private:
  struct Loaded {
    DataLoaded done;
    std::shared_ptr<const NodeData> data;
  };
  using Result = std::variant<Loaded, TrainDone>;
  // What trainings of one job share.
  struct Job {
    std::shared_ptr<const JobConfig> config;
    ParameterLayoutPtr layout;
    std::shared_ptr<const NodeData> data;
  };
  // One thread with the trainer it keeps. The trainer is used on the thread only.
  struct Lane {
    std::shared_ptr<const JobConfig> job;
    std::unique_ptr<NodeTrainer> trainer;
    size_t unfinished_count = 0;             // on the shell's thread
    std::unique_ptr<Worker<Result>> worker;  // last: it uses the members above
  };

  TrainDone RunTraining(Lane& lane, const Job& job, const TrainWork& work,
                        const std::atomic<bool>& is_cancelled);

  Options options_;
  std::function<void()> notify_;
  Job job_;
  absl::flat_hash_map<TrainingId, std::shared_ptr<std::atomic<bool>>> cancellations_;
  BoundedQueue<TrainProgressed> progress_;  // newest signs of life; may drop some
  std::vector<std::unique_ptr<Lane>> lanes_;
  Worker<MaskDone> masker_;
};

}  // namespace skerry
