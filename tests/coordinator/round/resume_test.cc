// After a restart: the same round, attempt and nodes, and nothing recorded twice.
#include "tests/coordinator/round/round_driver.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

RestoredRun After(uint64_t round) {
  RestoredRun run;
  run.last_committed = RoundId(round);
  run.model_sha256 = std::string(64, 'a');
  return run;
}

RestoredRun InRoundTwo() {
  RestoredRun run = After(1);
  run.open_round.emplace(RoundStarted{RoundId(2), AttemptId(1), {Node(1), Node(2), Node(4)}});
  return run;
}

TEST(ResumeTest, AnOpenRoundGoesOnWithItsNodesAndIsNotRecordedAgain) {
  RoundDriver run(SmallPolicy(), RosterOf(4), InRoundTwo());
  const Outbox start = run.Start();
  const Outbox join = run.Join(1);
  const Outbox other = run.Join(3);

  EXPECT_THAT(start.persist, IsEmpty());
  EXPECT_THAT(start.work, IsEmpty());
  ASSERT_THAT(join.send, SizeIs(1));
  EXPECT_EQ(join.send[0].envelope.round_task().round(), 2u);
  EXPECT_EQ(join.send[0].envelope.round_task().model_version(), 1u);
  EXPECT_THAT(join.persist, IsEmpty()) << "everyone joins again after a restart";
  EXPECT_THAT(other.send, IsEmpty());
  EXPECT_EQ(run.machine.data().target, 3u);
  run.Deliver(1);
  run.Join(2);
  run.Join(4);
  run.Deliver(2);
  run.Deliver(4);
  const Outbox commit = run.Commit();
  ASSERT_THAT(commit.persist, SizeIs(2));
  EXPECT_EQ(std::get<RoundCommitted>(commit.persist[0]).round, RoundId(2));
  EXPECT_EQ(std::get<RoundStarted>(commit.persist[1]).round, RoundId(3));
}

TEST(ResumeTest, NodesRevokedSinceAreFailed) {
  RoundDriver run(SmallPolicy(), RosterOf(3), InRoundTwo());
  run.Start();

  EXPECT_EQ(run.PartOf(4), Participation::kFailed);
  EXPECT_EQ(run.machine.data().participants.at(Node(4)).reason, "revoked");
  EXPECT_EQ(run.machine.phase_name(), "training");
}

TEST(ResumeTest, ARoundThatCanNoLongerMeetItsQuorumFails) {
  RoundDriver run(SmallPolicy(), {Node(1), Node(3)}, InRoundTwo());
  const Outbox out = run.Start();

  EXPECT_TRUE(run.machine.is_finished());
  EXPECT_THAT(Pick<RunEnded>(out.persist), SizeIs(1));
}

TEST(ResumeTest, BetweenRoundsTheNextOneBegins) {
  RoundDriver run(SmallPolicy(), RosterOf(4), After(1));
  const Outbox out = run.Start();

  ASSERT_THAT(Pick<RoundStarted>(out.persist), SizeIs(1));
  EXPECT_EQ(Pick<RoundStarted>(out.persist)[0].round, RoundId(2));
}

TEST(ResumeTest, UploadsOfTheCommittedRoundAreLate) {
  RoundDriver run(SmallPolicy(), RosterOf(4), InRoundTwo());
  run.Start();
  run.Join(1);

  EXPECT_THAT(Verdicts(run.Say(Peer(1), RoundDriver::OfferMessage(1, 1))),
              ElementsAre(testing::Pair("node-1", proto::REJECT_REASON_ROUND_CLOSED)));
}

TEST(ResumeTest, AnEvaluationLostWithTheProcessIsMadeUp) {
  RoundPolicy policy = SmallPolicy();
  policy.evaluation.every_rounds = 1;
  RestoredRun restored = InRoundTwo();
  RoundDriver missing(policy, RosterOf(4), restored);
  const Outbox made_up = missing.Start();
  restored.last_evaluated = ModelVersion(1);
  RoundDriver recorded(policy, RosterOf(4), restored);
  const Outbox nothing = recorded.Start();

  EXPECT_THAT(Pick<EvaluateWork>(made_up.work), SizeIs(1));
  EXPECT_THAT(nothing.work, IsEmpty());
}

TEST(ResumeTest, AfterTheLastRoundOnlyTheEvaluationIsLeft) {
  RestoredRun restored = After(3);
  RoundDriver run(SmallPolicy(), RosterOf(4), restored);
  const Outbox start = run.Start();
  EXPECT_EQ(run.machine.phase_name(), "evaluating");
  EXPECT_THAT(Pick<EvaluateWork>(start.work), SizeIs(1));
  EXPECT_THAT(run.Join(1).send, IsEmpty());

  restored.last_evaluated = ModelVersion(3);
  RoundDriver done(SmallPolicy(), RosterOf(4), restored);
  const Outbox end = done.Start();
  ASSERT_THAT(end.persist, SizeIs(1));
  EXPECT_EQ(std::get<RunEnded>(end.persist[0]).status, RunStatus::kCompleted);
}

}  // namespace
}  // namespace skerry
