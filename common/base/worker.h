// A thread that runs jobs in the order they were posted and hands their results back. The shells'
// only threads: a shell keeps its sockets, its worker does the arithmetic, and they share the two
// queues in here and nothing else. A job owns what it works on.
#pragma once

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "common/base/bounded_queue.h"

namespace skerry {

template <typename Result>
class Worker {
 public:
  // At most `job_count_max` jobs wait; Post holds the caller back beyond that. `notify` is called
  // on the worker's thread after each result, to end the shell's wait.
  Worker(size_t job_count_max, std::function<void()> notify)
      : jobs_(job_count_max),
        // As many as there are jobs: were this a smaller bound, the worker could wait for the shell
        // to take results while the shell waits for the worker to take jobs.
        results_(std::numeric_limits<size_t>::max()),
        notify_(std::move(notify)),
        thread_([this] { Run(); }) {}

  // Drops the jobs that have not begun and waits for the one that has.
  ~Worker() {
    is_stopping_ = true;
    jobs_.Close();
    results_.Close();
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // `job` is a callable that returns a Result; it may own things that cannot be copied.
  template <typename Job>
  void Post(Job job) {
    // std::function wants to be copyable; the shared pointer is never shared.
    auto shared = std::make_shared<Job>(std::move(job));
    ++unfinished_count_;
    jobs_.Push([shared] { return (*shared)(); });
  }

  // A finished job's result, in order; empty if there is none yet. Called by the posting thread.
  std::optional<Result> TryTake() {
    std::optional<Result> result = results_.TryPop();
    if (result.has_value()) --unfinished_count_;
    return result;
  }

  // Posted and not yet taken.
  size_t unfinished_count() const { return unfinished_count_; }

 private:
  void Run() {
    while (std::optional<std::function<Result()>> job = jobs_.Pop()) {
      if (is_stopping_) return;
      if (!results_.Push((*job)())) return;
      notify_();
    }
  }

  BoundedQueue<std::function<Result()>> jobs_;
  BoundedQueue<Result> results_;
  std::function<void()> notify_;
  std::atomic<bool> is_stopping_{false};
  size_t unfinished_count_ = 0;
  std::thread thread_;
};

}  // namespace skerry
