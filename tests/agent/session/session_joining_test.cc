// Connecting, joining, being turned away, and jobs that come and go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/session/session_harness.h"

namespace skerry {
namespace {

using proto::Envelope;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST(SessionJoiningTest, GreetsThenProvesEveryNodeAndHasTheDataLoaded) {
  SessionHarness agent;

  agent.LinkUpNow();
  ASSERT_THAT(agent.Sent(Envelope::kHello), SizeIs(1));
  EXPECT_EQ(agent.Sent(Envelope::kHello)[0].hello().process(), "agent-0");
  EXPECT_EQ(agent.Sent(Envelope::kHello)[0].hello().version_max(), 1u);
  agent.Hear(agent.WelcomeMessage());

  ASSERT_THAT(agent.Sent(Envelope::kJoin), SizeIs(1));
  const proto::Join join = agent.Sent(Envelope::kJoin)[0].join();
  ASSERT_EQ(join.nodes_size(), 3);
  EXPECT_EQ(join.nodes(1).node(), "n-1");
  EXPECT_TRUE(join.nodes(1).signature().starts_with("signed by n-1"));
  EXPECT_THAT(agent.Works<LoadDataWork>(), SizeIs(1));
  EXPECT_EQ(agent.machine.phase_name(), "joining");
  agent.Hear(agent.JoinResultMessage());
  EXPECT_EQ(agent.machine.phase_name(), "active");
  EXPECT_THAT(agent.Events(SessionEventKind::kNodeJoined), SizeIs(3));
}

TEST(SessionJoiningTest, MoreNodesThanOneMessageHoldsAreSplit) {
  SessionHarness agent(HarnessOptions(protocol::kJoinNodesMax + 1));

  agent.LinkUpNow();
  agent.Hear(agent.WelcomeMessage());

  const std::vector<Envelope> joins = agent.Sent(Envelope::kJoin);
  ASSERT_THAT(joins, SizeIs(2));
  EXPECT_EQ(joins[0].join().nodes_size(), protocol::kJoinNodesMax);
  EXPECT_EQ(joins[1].join().nodes_size(), 1);
}

TEST(SessionJoiningTest, HelloAndJoinAreRepeatedUntilTheyAreAnswered) {
  SessionHarness agent;
  agent.LinkUpNow();
  agent.Wait(4 * kSecond);
  EXPECT_THAT(agent.Sent(Envelope::kHello), SizeIs(1));
  agent.Wait(kSecond);
  EXPECT_THAT(agent.Sent(Envelope::kHello), SizeIs(2));

  agent.Hear(agent.WelcomeMessage());
  Envelope one_verdict;
  one_verdict.mutable_join_result()->add_nodes()->set_node("n-0");
  agent.Hear(one_verdict);
  agent.Wait(5 * kSecond);

  ASSERT_THAT(agent.Sent(Envelope::kJoin), SizeIs(2));
  EXPECT_EQ(agent.Sent(Envelope::kJoin)[1].join().nodes_size(), 2);  // only those without verdict
  agent.Hear(agent.JoinResultMessage());
  EXPECT_TRUE(agent.IsAtRest());
}

TEST(SessionJoiningTest, WithoutALinkNothingIsRepeated) {
  SessionHarness agent;
  agent.LinkUpNow();
  agent.LinkDownNow();

  EXPECT_TRUE(agent.IsAtRest());
}

TEST(SessionJoiningTest, AJobThatThePolicyForbidsIsDeclinedByEveryNodeAndTouchesNoData) {
  SessionOptions options = HarnessOptions(2);
  options.policy.allow_plain = false;
  SessionHarness agent(options);

  agent.JoinAll();
  agent.Task(1, {"n-0"});

  EXPECT_THAT(agent.out.work, IsEmpty());
  const std::vector<Envelope> failures = agent.Sent(Envelope::kNodeFailure);
  ASSERT_THAT(failures, SizeIs(3));
  EXPECT_EQ(failures[0].node_failure().round(), 0u);
  EXPECT_EQ(failures[0].node_failure().reason(), proto::REJECT_REASON_POLICY);
  EXPECT_EQ(failures[1].node_failure().node(), "n-1");
  EXPECT_EQ(failures[2].node_failure().round(), 1u);
  EXPECT_THAT(agent.Events(SessionEventKind::kJobRefused), SizeIs(1));
  EXPECT_FALSE(agent.out.finished.has_value());
}

TEST(SessionJoiningTest, WithOnceAForbiddenJobEndsTheProcessAfterItSaidSo) {
  SessionOptions options = HarnessOptions(1);
  options.policy.allow_plain = false;
  options.ends_with_job = true;
  SessionHarness agent(options);

  agent.JoinAll();

  EXPECT_THAT(agent.Sent(Envelope::kNodeFailure), SizeIs(1));
  EXPECT_EQ(agent.out.finished, 1);
  EXPECT_TRUE(agent.machine.is_finished());
}

TEST(SessionJoiningTest, ALayoutThatIsNotTheJobsIsDeclined) {
  SessionHarness agent;
  agent.layout = SmallLayout(kParameters + 1);

  agent.JoinAll();

  EXPECT_THAT(agent.Works<LoadDataWork>(), IsEmpty());
  ASSERT_THAT(agent.Sent(Envelope::kNodeFailure), SizeIs(3));
  EXPECT_EQ(agent.Sent(Envelope::kNodeFailure)[0].node_failure().reason(),
            proto::REJECT_REASON_INTERNAL);
}

TEST(SessionJoiningTest, ANodeWhoseDataCannotBeReadSaysSoOnceItHasJoinedAndAgainAfterEachJoin) {
  SessionHarness agent;
  agent.LinkUpNow();
  agent.Hear(agent.WelcomeMessage());
  agent.DataReady({{.node = NodeId("n-1"), .detail = "train.csv:7: not a number"}});
  EXPECT_THAT(agent.Sent(Envelope::kNodeFailure), IsEmpty());

  agent.Hear(agent.JoinResultMessage());
  ASSERT_THAT(agent.Sent(Envelope::kNodeFailure), SizeIs(1));
  EXPECT_EQ(agent.Sent(Envelope::kNodeFailure)[0].node_failure().node(), "n-1");
  EXPECT_EQ(agent.Sent(Envelope::kNodeFailure)[0].node_failure().reason(),
            proto::REJECT_REASON_DATA);
  agent.LinkDownNow();
  agent.out = {};
  agent.JoinAll();

  EXPECT_THAT(agent.Sent(Envelope::kNodeFailure), SizeIs(1));
  EXPECT_THAT(agent.Works<LoadDataWork>(), IsEmpty());  // the data is still there
}

TEST(SessionJoiningTest, ARefusedNodeTriesAgainSlowlyAndJoinsOnceItIsOnTheRoster) {
  SessionHarness agent;
  agent.LinkUpNow();
  agent.Hear(agent.WelcomeMessage());
  Envelope verdicts = agent.JoinResultMessage();
  verdicts.mutable_join_result()->mutable_nodes(2)->set_reason(proto::REJECT_REASON_NOT_IN_ROSTER);
  agent.Hear(verdicts);
  agent.out = {};
  ASSERT_EQ(agent.machine.phase_name(), "active");

  ASSERT_TRUE(agent.machine.NextDeadline().has_value());
  agent.Wait(*agent.machine.NextDeadline() - agent.now);
  ASSERT_THAT(agent.Sent(Envelope::kJoin), SizeIs(1));
  EXPECT_EQ(agent.Sent(Envelope::kJoin)[0].join().nodes_size(), 1);
  agent.Hear(agent.JoinResultMessage());

  EXPECT_THAT(agent.Events(SessionEventKind::kNodeJoined), SizeIs(1));
  EXPECT_TRUE(agent.IsAtRest());
}

TEST(SessionJoiningTest, ANodeThatAnotherProcessHasJoinedIsNotFoughtFor) {
  SessionHarness agent;
  agent.BecomeActive();

  agent.Hear(agent.JoinResultMessage(proto::REJECT_REASON_NODE_ELSEWHERE));

  EXPECT_TRUE(agent.IsAtRest());
  EXPECT_THAT(agent.Events(SessionEventKind::kNodeRefused), SizeIs(3));
}

TEST(SessionJoiningTest, ARevokedNodeStopsTraining) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  const TrainWork work = agent.LastWork<TrainWork>();

  Envelope verdict;
  verdict.mutable_join_result()->add_nodes()->set_node("n-0");
  verdict.mutable_join_result()->mutable_nodes(0)->set_reason(proto::REJECT_REASON_REVOKED);
  agent.Hear(verdict);

  EXPECT_THAT(agent.out.cancel, ElementsAre(work.training));
}

TEST(SessionJoiningTest, AProcessThatIsTurnedAwayReconnectsAtGrowingIntervals) {
  SessionHarness agent;
  Duration waited{};
  for (int i = 0; i < 4; ++i) {
    agent.LinkUpNow();
    agent.out = {};
    agent.Refuse(proto::REJECT_REASON_REVOKED);
    EXPECT_EQ(agent.machine.phase_name(), "turned away");
    const Duration wait = *agent.machine.NextDeadline() - agent.now;
    EXPECT_GT(wait, waited);
    waited = wait;
    agent.Wait(wait);
    EXPECT_TRUE(agent.out.reconnect);
    EXPECT_TRUE(agent.IsAtRest());
    agent.LinkDownNow();
  }
  EXPECT_FALSE(agent.out.finished.has_value());
}

TEST(SessionJoiningTest, WithOnceAVersionNobodySharesIsTheEnd) {
  SessionOptions options = HarnessOptions();
  options.ends_with_job = true;
  SessionHarness agent(options);
  agent.LinkUpNow();

  agent.Refuse(proto::REJECT_REASON_VERSION);

  EXPECT_EQ(agent.out.finished, 1);
}

TEST(SessionJoiningTest, AWelcomeInAVersionWeDoNotSpeakIsTurnedDown) {
  SessionHarness agent;
  agent.LinkUpNow();
  Envelope welcome = agent.WelcomeMessage();
  welcome.mutable_welcome()->set_version(2);

  agent.Hear(welcome);

  EXPECT_EQ(agent.machine.phase_name(), "turned away");
  EXPECT_THAT(agent.Sent(Envelope::kJoin), IsEmpty());
}

TEST(SessionJoiningTest, ACoordinatorThatHasForgottenTheConnectionIsGreetedAgain) {
  SessionHarness agent;
  agent.BecomeActive();

  agent.Refuse(proto::REJECT_REASON_OUT_OF_PHASE);

  EXPECT_EQ(agent.machine.phase_name(), "greeting");
  EXPECT_THAT(agent.Sent(Envelope::kHello), SizeIs(1));
}

TEST(SessionJoiningTest, AWelcomeWithAnotherNonceIsSignedAnewAndARepeatIsNot) {
  SessionHarness agent;
  agent.BecomeActive();

  agent.Hear(agent.WelcomeMessage());
  EXPECT_THAT(agent.Sent(Envelope::kJoin), IsEmpty());
  agent.nonce = std::string(32, 'm');
  agent.Hear(agent.WelcomeMessage());

  EXPECT_THAT(agent.Sent(Envelope::kJoin), SizeIs(1));
  EXPECT_EQ(agent.machine.phase_name(), "joining");
}

TEST(SessionJoiningTest, WithOnceTheJobsEndIsTheProcessesEnd) {
  for (const bool completed : {true, false}) {
    SessionOptions options = HarnessOptions();
    options.ends_with_job = true;
    SessionHarness agent(options);
    agent.BecomeActive();

    agent.End(completed);

    EXPECT_EQ(agent.out.finished, completed ? 0 : 1);
  }
}

TEST(SessionJoiningTest, WithoutOnceTheProcessWaitsForTheNextJob) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.End(true);
  EXPECT_FALSE(agent.out.finished.has_value());
  EXPECT_EQ(agent.machine.phase_name(), "job over");

  agent.LinkDownNow();
  agent.run_id = std::string(32, 'b');
  agent.out = {};
  agent.JoinAll();

  EXPECT_THAT(agent.Works<LoadDataWork>(), SizeIs(1));
  EXPECT_EQ(agent.machine.phase_name(), "active");
}

TEST(SessionJoiningTest, LeavingSaysGoodbyeAndEnds) {
  SessionHarness agent;
  agent.BecomeActive();

  agent.Feed(LeaveRequested{});

  EXPECT_THAT(agent.Sent(Envelope::kLeave), SizeIs(1));
  EXPECT_EQ(agent.out.finished, 130);
}

TEST(SessionJoiningTest, AResumedRunWithAChangedJobLoadsItsDataAnew) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.LinkDownNow();
  agent.LinkUpNow();
  Envelope welcome = agent.WelcomeMessage();
  welcome.mutable_welcome()->set_job_yaml("the job with more rounds");

  agent.Hear(welcome);

  EXPECT_THAT(agent.Works<LoadDataWork>(), SizeIs(1));
}

}  // namespace
}  // namespace skerry
