#include "agent/shell/training_pool.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"

namespace skerry {
namespace {

// The session keeps at most one training a worker under way, and cancelled ones linger briefly.
constexpr size_t kJobsPerLaneMax = 16;
constexpr size_t kProgressMax = 1024;
// A process with many nodes gets all their masks at once.
constexpr size_t kMaskingsMax = 4096;

}  // namespace

TrainingPool::TrainingPool(Options options, std::function<void()> notify)
    : options_(std::move(options)),
      notify_(std::move(notify)),
      progress_(kProgressMax),
      masker_(kMaskingsMax, notify_) {
  for (size_t i = 0; i < options_.workers; ++i) {
    auto lane = std::make_unique<Lane>();
    lane->worker = std::make_unique<Worker<Result>>(kJobsPerLaneMax, notify_);
    lanes_.push_back(std::move(lane));
  }
}

TrainingPool::~TrainingPool() {
  for (const auto& [training, is_cancelled] : cancellations_) *is_cancelled = true;
  progress_.Close();
}

void TrainingPool::Load(const LoadDataWork& work) {
  job_ = Job{work.job, work.layout, nullptr};
  ++lanes_[0]->unfinished_count;
  lanes_[0]->worker->Post([this, work] {
    NodeData::Loaded loaded = NodeData::Load(*work.job, options_.nodes);
    DataLoaded done{.loading = work.loading, .problems = std::move(loaded.problems)};
    for (const BudgetQuestion& question : work.budgets) {
      done.budgets.push_back(AnswerBudget(question));
    }
    return Result(Loaded{std::move(done), std::move(loaded.data)});
  });
}

void TrainingPool::Train(const TrainWork& work) {
  auto is_cancelled = std::make_shared<std::atomic<bool>>(false);
  cancellations_[work.training] = is_cancelled;
  const auto lane = std::min_element(
      lanes_.begin(), lanes_.end(),
      [](const auto& a, const auto& b) { return a->unfinished_count < b->unfinished_count; });
  ++(*lane)->unfinished_count;
  (*lane)->worker->Post([this, lane = lane->get(), job = job_, work, is_cancelled] {
    return Result(RunTraining(*lane, job, work, *is_cancelled));
  });
}

void TrainingPool::Cancel(TrainingId training) {
  const auto found = cancellations_.find(training);
  if (found != cancellations_.end()) *found->second = true;
}

void TrainingPool::Mask(const MaskWork& work) {
  masker_.Post([work] {
    const std::span<const uint8_t> update = work.update.bytes();
    std::vector<uint8_t> bytes(update.begin(), update.end());
    ApplyMasks({reinterpret_cast<RingElement*>(bytes.data()), bytes.size() / sizeof(RingElement)},
               *work.masks);
    return MaskDone{.training = work.training, .upload = Frame::Own(std::move(bytes))};
  });
}

TrainDone TrainingPool::RunTraining(Lane& lane, const Job& job, const TrainWork& work,
                                    const std::atomic<bool>& is_cancelled) {
  TrainDone done;
  done.training = work.training;
  if (is_cancelled) {
    done.outcome = TrainDone::Outcome::kCancelled;
    return done;
  }
  if (lane.job != job.config) {
    lane.trainer.reset();  // the old model goes before the new one comes
    auto trainer = NodeTrainer::Create(job.config, job.layout, options_.compute);
    if (!trainer.ok()) {
      done.outcome = TrainDone::Outcome::kFailed;
      done.failure = proto::REJECT_REASON_INTERNAL;
      done.detail = std::string(trainer.status().message());
      return done;
    }
    lane.trainer = *std::move(trainer);
    lane.job = job.config;
  }
  TrainObserver observer;
  observer.is_cancelled = [&] { return is_cancelled.load(std::memory_order_relaxed); };
  observer.progress = [&](int permille) {
    progress_.TryPush({work.training, static_cast<uint32_t>(permille)});
  };
  return lane.trainer->Run(work, *job.data, observer);
}

std::optional<SessionInput> TrainingPool::TryTake() {
  if (auto progress = progress_.TryPop()) return *progress;
  if (auto masked = masker_.TryTake()) return *std::move(masked);
  for (const auto& lane : lanes_) {
    std::optional<Result> result = lane->worker->TryTake();
    if (!result.has_value()) continue;
    --lane->unfinished_count;
    if (auto* loaded = std::get_if<Loaded>(&*result)) {
      job_.data = std::move(loaded->data);
      return std::move(loaded->done);
    }
    auto& done = std::get<TrainDone>(*result);
    cancellations_.erase(done.training);
    return std::move(done);
  }
  return std::nullopt;
}

}  // namespace skerry
