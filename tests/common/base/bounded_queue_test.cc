#include "common/base/bounded_queue.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace skerry {
namespace {

TEST(BoundedQueueTest, ItemsLeaveInTheOrderTheyCame) {
  BoundedQueue<int> queue(3);
  ASSERT_TRUE(queue.Push(1));
  ASSERT_TRUE(queue.Push(2));

  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.TryPop(), 2);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

TEST(BoundedQueueTest, TryPushDropsWhatDoesNotFit) {
  BoundedQueue<int> queue(1);

  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_FALSE(queue.TryPush(2));

  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_TRUE(queue.TryPush(3));
}

TEST(BoundedQueueTest, ClosedQueueGivesWhatItHoldsAndTakesNothing) {
  BoundedQueue<int> queue(3);
  ASSERT_TRUE(queue.Push(1));

  queue.Close();

  EXPECT_FALSE(queue.Push(2));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueueTest, FullQueueHoldsTheProducerBackAndLosesNothing) {
  constexpr int kItemCount = 10'000;
  BoundedQueue<int> queue(2);
  std::thread producer([&] {
    for (int i = 0; i < kItemCount; ++i) ASSERT_TRUE(queue.Push(i));
    queue.Close();
  });

  std::vector<int> received;
  size_t size_max = 0;
  while (const std::optional<int> item = queue.Pop()) {
    received.push_back(*item);
    size_max = std::max(size_max, queue.size());
  }
  producer.join();

  ASSERT_EQ(received.size(), static_cast<size_t>(kItemCount));
  for (int i = 0; i < kItemCount; ++i) ASSERT_EQ(received[static_cast<size_t>(i)], i);
  EXPECT_LE(size_max, 2u);
}

}  // namespace
}  // namespace skerry
