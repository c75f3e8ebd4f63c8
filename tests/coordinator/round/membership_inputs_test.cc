// Nodes that come, go, come back or are revoked while rounds run.
#include "tests/coordinator/round/round_driver.h"

namespace skerry {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class MembershipInputsTest : public testing::Test {
 protected:
  MembershipInputsTest() {
    run_.Start();
    for (int i = 1; i <= 4; ++i) run_.Join(i);
  }
  RoundDriver run_;
};

std::vector<std::string> Kinds(const Outbox& out) {
  std::vector<std::string> kinds;
  for (const EventRecorded& event : Pick<EventRecorded>(out.persist)) kinds.push_back(event.kind);
  return kinds;
}

TEST_F(MembershipInputsTest, ANodeThatLeavesKeepsItsPlaceAndGetsTheTaskAgain) {
  run_.Progress(1);
  const Instant progress = run_.now;
  run_.now += seconds(5);
  const Outbox left = run_.Leave(1);
  EXPECT_THAT(Kinds(left), ElementsAre("node left"));
  EXPECT_EQ(run_.PartOf(1), Participation::kTraining);
  EXPECT_EQ(run_.machine.data().participants.at(Node(1)).last_progress, progress);
  EXPECT_EQ(run_.machine.data().connected_count, 3u);

  const Outbox back = run_.Do(NodeJoined{Node(1), Peer(21)});

  EXPECT_THAT(Kinds(back), ElementsAre("node rejoined"));
  ASSERT_THAT(back.send, SizeIs(1));
  EXPECT_EQ(back.send[0].peer, Peer(21));
  EXPECT_TRUE(back.send[0].envelope.has_round_task());
  EXPECT_EQ(run_.machine.data().participants.at(Node(1)).last_progress, run_.now);
}

TEST_F(MembershipInputsTest, ARepeatedJoinIsAnsweredWithTheSameTaskAndNoEvent) {
  const Outbox again = run_.Join(1);

  EXPECT_THAT(again.persist, IsEmpty());
  ASSERT_THAT(again.send, SizeIs(1));
  EXPECT_EQ(run_.machine.data().connected_count, 4u);
}

TEST_F(MembershipInputsTest, AJoinOverAnotherConnectionMovesTheNode) {
  run_.Do(NodeJoined{Node(1), Peer(21)});

  EXPECT_EQ(run_.machine.data().connected_count, 4u);
  EXPECT_EQ(run_.machine.data().peers.count(Peer(1)), 0u);
  EXPECT_THAT(Verdicts(run_.Offer(1)),
              ElementsAre(testing::Pair("node-1", proto::REJECT_REASON_NODE_ELSEWHERE)));
}

TEST_F(MembershipInputsTest, AFinishedOrFailedNodeGetsNoTaskWhenItComesBack) {
  run_.Deliver(1);
  run_.Fail(2);
  run_.Leave(1);
  run_.Leave(2);

  EXPECT_THAT(run_.Join(1).send, IsEmpty());
  EXPECT_THAT(run_.Join(2).send, IsEmpty());
}

TEST_F(MembershipInputsTest, ANodeFirstSeenAfterTheFirstRoundIsAnEvent) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 3; ++i) run.Join(i);
  for (int i = 1; i <= 3; ++i) run.Deliver(i);
  run.now += seconds(31);
  run.Deadline();
  run.Commit();
  const Outbox late = run.Join(4);

  EXPECT_THAT(Kinds(late), ElementsAre("node joined late"));
  EXPECT_THAT(late.send, SizeIs(1));
}

TEST_F(MembershipInputsTest, NodesAndLeavesNobodyKnowsChangeNothing) {
  EXPECT_TRUE(run_.Do(NodeJoined{Node(9), Peer(9)}).empty());
  EXPECT_TRUE(run_.Do(NodeLeft{Node(9), ""}).empty());
  run_.Leave(1);
  EXPECT_TRUE(run_.Leave(1).empty());
  EXPECT_EQ(run_.machine.data().connected_count, 3u);
}

TEST_F(MembershipInputsTest, AddedNodesAreDrawnFromTheNextRoundOn) {
  RoundPolicy policy = SmallPolicy();
  policy.round.nodes = 5;
  RoundDriver run(policy, RosterOf(4));
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  EXPECT_TRUE(run.Do(RosterChanged{RosterOf(5)}).empty());
  EXPECT_THAT(run.Join(5).send, IsEmpty());
  EXPECT_THAT(run.machine.data().participants, SizeIs(4));
  for (int i = 1; i <= 4; ++i) run.Deliver(i);
  const Outbox next = run.Commit();

  EXPECT_EQ(Pick<RoundStarted>(next.persist)[0].invited, RosterOf(5));
}

TEST_F(MembershipInputsTest, RemovedNodesLeaveTheRoundAndFutureDraws) {
  run_.Offer(4);
  run_.Deliver(3);
  std::vector<NodeId> rest = {Node(1), Node(2)};
  const Outbox out = run_.Do(RosterChanged{rest});

  EXPECT_EQ(run_.PartOf(4), Participation::kFailed);
  EXPECT_EQ(run_.machine.data().participants.at(Node(4)).reason, "revoked");
  EXPECT_EQ(run_.PartOf(3), Participation::kAccepted) << "its update is in the sum";
  EXPECT_THAT(Pick<DropUpload>(out.uploads), SizeIs(1));
  EXPECT_EQ(run_.machine.data().connected_count, 2u);
  EXPECT_THAT(run_.machine.data().nodes, SizeIs(2));
  run_.Deliver(1);
  run_.Deliver(2);
  const Outbox next = run_.Commit();
  EXPECT_EQ(Pick<RoundStarted>(next.persist)[0].invited, rest);
}

TEST_F(MembershipInputsTest, ARevocationThatBreaksTheQuorumFailsTheRunAtOnce) {
  run_.Do(RosterChanged{{Node(1)}});

  EXPECT_TRUE(run_.machine.is_finished());
  EXPECT_THAT(run_.machine.data().ended->detail, HasSubstr("node-2 (revoked)"));
}

TEST_F(MembershipInputsTest, ARosterBelowTheQuorumIsAwaitedBetweenRounds) {
  for (int i = 1; i <= 4; ++i) run_.Deliver(i);
  run_.Do(RosterChanged{{Node(1)}});
  const Outbox commit = run_.Commit();
  EXPECT_EQ(run_.machine.phase_name(), "selecting");
  EXPECT_THAT(Pick<RoundStarted>(commit.persist), IsEmpty());
  EXPECT_EQ(run_.machine.NextDeadline(), run_.now + seconds(900));

  const Outbox more = run_.Do(RosterChanged{{Node(1), Node(2)}});
  EXPECT_THAT(Pick<RoundStarted>(more.persist), SizeIs(1));
  EXPECT_EQ(run_.machine.phase_name(), "training");
}

TEST_F(MembershipInputsTest, ARosterThatStaysBelowTheQuorumFailsTheRunInTheEnd) {
  RoundDriver run(SmallPolicy(), RosterOf(1));
  run.Start();
  run.now += seconds(900);
  run.Deadline();

  EXPECT_TRUE(run.machine.is_finished());
  EXPECT_THAT(run.machine.data().ended->detail, HasSubstr("has 1 nodes and a round needs 2"));
}

TEST_F(MembershipInputsTest, CountersFollowEveryChange) {
  run_.Progress(1);
  run_.Offer(2);
  run_.Deliver(3);
  run_.Fail(4);
  const RoundData& data = run_.machine.data();

  EXPECT_EQ(data.count(Participation::kTraining), 1u);
  EXPECT_EQ(data.count(Participation::kUploading), 1u);
  EXPECT_EQ(data.accepted_count(), 1u);
  EXPECT_EQ(data.count(Participation::kFailed), 1u);
  EXPECT_EQ(data.outstanding_count(), 2u);
  EXPECT_EQ(data.quorum, 2u);
  EXPECT_EQ(data.target, 4u);
}

}  // namespace
}  // namespace skerry
