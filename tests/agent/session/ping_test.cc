// A link that has ended without a sign of it: the session asks, and begins another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/session/session_harness.h"

namespace skerry {
namespace {

using std::chrono::seconds;

SessionOptions Options() {
  SessionOptions options = HarnessOptions();
  options.ping_interval = SessionOptions().ping_interval;
  return options;
}

proto::Envelope Pong() {
  proto::Envelope message;
  message.mutable_ping();
  return message;
}

size_t PingCount(const SessionOutbox& out) {
  return static_cast<size_t>(
      std::count_if(out.send.begin(), out.send.end(),
                    [](const proto::Envelope& message) { return message.has_ping(); }));
}

TEST(PingTest, AnActiveAgentAsksEveryTenSeconds) {
  SessionHarness agent(Options());
  agent.BecomeActive();
  agent.out = {};
  ASSERT_EQ(agent.machine.NextDeadline(), agent.now + seconds(10));

  for (int i = 0; i < 100; ++i) {
    agent.Wait(seconds(10));
    agent.Hear(Pong());
  }

  EXPECT_EQ(PingCount(agent.out), 100u);
  EXPECT_FALSE(agent.out.reconnect);
}

TEST(PingTest, AfterSixWithoutAnAnswerTheLinkIsBegunAnew) {
  SessionHarness agent(Options());
  agent.BecomeActive();
  agent.out = {};
  for (int i = 0; i < 6; ++i) agent.Wait(seconds(10));
  EXPECT_EQ(PingCount(agent.out), 6u);
  EXPECT_FALSE(agent.out.reconnect);

  agent.Wait(seconds(10));

  EXPECT_TRUE(agent.out.reconnect);
  EXPECT_EQ(PingCount(agent.out), 6u);
  agent.LinkDownNow();
  agent.LinkUpNow();
  EXPECT_EQ(agent.machine.NextDeadline(), agent.now + seconds(5)) << "Hello is said again";
}

TEST(PingTest, WhateverComesIsAnAnswer) {
  SessionHarness agent(Options());
  agent.BecomeActive();
  agent.out = {};
  for (int i = 0; i < 20; ++i) {
    agent.Wait(seconds(10));
    agent.Hear(agent.JoinResultMessage());
  }
  EXPECT_FALSE(agent.out.reconnect);
}

// The answers that came meanwhile are read after it has woken up.
TEST(PingTest, AnAgentThatWasStoppedForLongAsksOnce) {
  SessionHarness agent(Options());
  agent.BecomeActive();
  agent.out = {};

  agent.Wait(seconds(3600));

  EXPECT_EQ(PingCount(agent.out), 1u);
  EXPECT_FALSE(agent.out.reconnect);
}

TEST(PingTest, NobodyIsAskedWithoutALink) {
  SessionHarness agent(Options());
  EXPECT_EQ(agent.machine.NextDeadline(), std::nullopt);
  agent.BecomeActive();
  agent.LinkDownNow();
  EXPECT_EQ(agent.machine.NextDeadline(), std::nullopt);
}

}  // namespace
}  // namespace skerry
