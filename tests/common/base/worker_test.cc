#include "common/base/worker.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace skerry {
namespace {

TEST(WorkerTest, ResultsComeBackInTheOrderOfTheJobs) {
  BoundedQueue<int> notified(1000);
  Worker<int> worker(4, [&] { notified.Push(0); });
  std::vector<int> results;
  for (int i = 0; i < 200; ++i) {
    worker.Post([number = std::make_unique<int>(i)] { return *number * 2; });
    while (const auto result = worker.TryTake()) results.push_back(*result);
  }

  while (worker.unfinished_count() > 0) {
    notified.Pop();
    while (const auto result = worker.TryTake()) results.push_back(*result);
  }

  ASSERT_EQ(results.size(), 200u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(results[static_cast<size_t>(i)], 2 * i);
}

TEST(WorkerTest, PosterThatTakesNoResultsIsNeverHeldBackForEver) {
  Worker<int> worker(2, [] {});

  for (int i = 0; i < 1000; ++i) worker.Post([i] { return i; });

  EXPECT_EQ(worker.unfinished_count(), 1000u);
}

TEST(WorkerTest, DestructionWaitsForTheRunningJobAndFreesTheOthers) {
  auto held = std::make_shared<int>(0);
  BoundedQueue<int> started(1);
  BoundedQueue<int> gate(1);
  {
    Worker<int> worker(10, [] {});
    worker.Post([&started, &gate, held] {
      started.Push(0);
      gate.Pop();
      return ++*held;
    });
    for (int i = 0; i < 5; ++i) worker.Post([held] { return ++*held; });
    started.Pop();
    gate.Close();
  }

  EXPECT_GE(*held, 1);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace skerry
