#include "common/transport/frame.h"

#include <gtest/gtest.h>

#include "common/transport/outgoing_queue.h"

namespace skerry {
namespace {

TEST(FrameTest, CopiesShareTheBytesAndKeepThemAlive) {
  Frame copy;
  const uint8_t* address = nullptr;
  {
    const Frame frame = Frame::Own(std::vector<uint8_t>{1, 2, 3});
    address = frame.bytes().data();
    copy = frame;
  }

  ASSERT_EQ(copy.size(), 3u);
  EXPECT_EQ(copy.bytes().data(), address);
  EXPECT_EQ(copy.bytes()[2], 3);
}

TEST(FrameTest, OwnedTextIsItsBytes) {
  const Frame frame = Frame::Own(std::string("ab"));

  ASSERT_EQ(frame.size(), 2u);
  EXPECT_EQ(frame.bytes()[0], 'a');
  EXPECT_EQ(frame.bytes()[1], 'b');
}

Message Sized(size_t bytes) { return {Frame::Own(std::vector<uint8_t>(bytes)), std::nullopt}; }

TEST(OutgoingQueueTest, RefusesWhatPassesItsBoundAndTakesMoreOnceSomeHasLeft) {
  OutgoingQueue queue(10'000);
  size_t count = 0;
  while (queue.Push(Sized(1000))) ++count;
  EXPECT_GE(count, 7u);
  EXPECT_LE(count, 10u);

  int allowance = 2;
  EXPECT_FALSE(queue.Flush([&](const Message&) { return allowance-- > 0; }));

  EXPECT_TRUE(queue.Push(Sized(1000)));
  EXPECT_TRUE(queue.Push(Sized(1000)));
  EXPECT_FALSE(queue.Push(Sized(1000)));
}

TEST(OutgoingQueueTest, SingleMessageLargerThanTheBoundFits) {
  OutgoingQueue queue(10);

  EXPECT_TRUE(queue.Push(Sized(1000)));
  EXPECT_FALSE(queue.Push(Sized(0)));
}

TEST(OutgoingQueueTest, EmptyMessagesAreBoundedToo) {
  OutgoingQueue queue(1 << 20);
  size_t count = 0;
  while (queue.Push(Sized(0))) ASSERT_LT(++count, 10'000u);

  EXPECT_GE(count, 1000u);
}

}  // namespace
}  // namespace skerry
