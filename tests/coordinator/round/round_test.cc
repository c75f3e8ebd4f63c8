// Rounds from beginning to end: cohorts, quorum, stalling, over-selection, commit, evaluation, end.
#include "tests/coordinator/round/round_driver.h"

namespace skerry {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

std::vector<uint64_t> PeersSent(const Outbox& out, proto::Envelope::BodyCase body) {
  std::vector<uint64_t> peers;
  for (const OutgoingMessage& message : out.send) {
    if (message.envelope.body_case() == body) peers.push_back(message.peer.value());
  }
  return peers;
}

TEST(RoundTest, TheFirstRoundIsRecordedAtTheStartAndNodesGetTheirTaskWhenTheyJoin) {
  RoundDriver run;

  const Outbox start = run.Start();
  const Outbox join = run.Join(2);

  const auto started = Pick<RoundStarted>(start.persist);
  ASSERT_THAT(started, SizeIs(1));
  EXPECT_EQ(started[0].round, RoundId(1));
  EXPECT_EQ(started[0].attempt, AttemptId(1));
  EXPECT_EQ(started[0].invited, RosterOf(4));
  EXPECT_THAT(start.send, IsEmpty());
  ASSERT_THAT(join.send, SizeIs(1));
  EXPECT_EQ(join.send[0].peer, Peer(2));
  EXPECT_TRUE(join.send[0].attach_model);
  const proto::RoundTask& task = join.send[0].envelope.round_task();
  EXPECT_EQ(task.round(), 1u);
  EXPECT_EQ(task.attempt(), 1u);
  EXPECT_EQ(task.model_version(), 0u);
  EXPECT_EQ(task.model_bytes(), 400u);
  EXPECT_EQ(task.model_sha256(), std::string(32, '\0'));
  EXPECT_EQ(task.scale_bits(), 20u);
  EXPECT_THAT(task.nodes(), ElementsAre("node-2"));
  EXPECT_THAT(join.persist, IsEmpty()) << "joining in the first round is no event";
}

TEST(RoundTest, AModelAboveTheInlineLimitIsNotAttached) {
  RoundPolicy policy = SmallPolicy();
  policy.model_bytes = 256 << 10;
  RoundDriver small(policy);
  small.Start();
  policy.model_bytes += 4;
  RoundDriver large(policy);
  large.Start();

  EXPECT_TRUE(small.Join(1).send[0].attach_model);
  EXPECT_FALSE(large.Join(1).send[0].attach_model);
}

TEST(RoundTest, NodesThatJoinTogetherGetOneTask) {
  RoundDriver run;
  run.Start();
  Outbox out;
  for (int i = 1; i <= 3; ++i) {
    run.machine.Handle(NodeJoined{Node(i), Peer(9)}, run.now, out);
  }

  ASSERT_THAT(out.send, SizeIs(1));
  EXPECT_THAT(out.send[0].envelope.round_task().nodes(), ElementsAre("node-1", "node-2", "node-3"));
}

TEST(RoundTest, ACommitRecordsTheRoundThenTheNextOneAndSendsOneTaskAPeer) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Do(NodeJoined{Node(i), Peer(i % 2)});
  for (int i = 1; i <= 3; ++i) {
    run.Say(Peer(i % 2), RoundDriver::OfferMessage(i, 1));
    run.Complete(i);
  }
  run.now += seconds(2);
  run.Say(Peer(0), RoundDriver::OfferMessage(4, 1));
  const Outbox last = run.Complete(4);
  run.now += seconds(3);
  const Outbox out = run.Commit();

  ASSERT_THAT(Pick<CommitWork>(last.work), SizeIs(1));
  EXPECT_EQ(Pick<CommitWork>(last.work)[0].survivor_count, 4u);
  ASSERT_THAT(out.persist, SizeIs(2));
  const RoundCommitted& committed = std::get<RoundCommitted>(out.persist[0]);
  EXPECT_EQ(committed.round, RoundId(1));
  ASSERT_THAT(committed.participants, SizeIs(4));
  EXPECT_EQ(committed.participants[3].node, Node(4));
  EXPECT_EQ(committed.participants[3].participation, Participation::kAccepted);
  EXPECT_EQ(committed.participants[3].finished_after, Duration(seconds(2)));
  EXPECT_EQ(committed.timings.until_quorum, Duration(0));
  EXPECT_EQ(committed.timings.until_closed, Duration(seconds(2)));
  EXPECT_EQ(committed.timings.committing, Duration(seconds(3)));
  EXPECT_EQ(std::get<RoundStarted>(out.persist[1]).round, RoundId(2));
  EXPECT_THAT(PeersSent(out, proto::Envelope::kRoundClosed), ElementsAre(0, 1));
  EXPECT_THAT(PeersSent(out, proto::Envelope::kRoundTask), ElementsAre(0, 1));
  const proto::RoundTask& task = out.send.back().envelope.round_task();
  EXPECT_THAT(task.nodes(), ElementsAre("node-1", "node-3"));
  EXPECT_EQ(task.model_version(), 1u);
  EXPECT_EQ(task.model_sha256(), std::string(31, '\0') + '\x01');
  EXPECT_THAT(Pick<DropAllUploads>(last.uploads), SizeIs(1));
}

TEST(RoundTest, TheCohortIsDrawnFromTheRosterNotFromWhoIsConnected) {
  RoundPolicy policy = SmallPolicy();
  policy.round.nodes = 40;
  policy.round.cohort_fraction = 0.25;
  RoundDriver nobody(policy, RosterOf(40));
  const auto drawn = Pick<RoundStarted>(nobody.Start().persist);

  RoundDriver again(policy, RosterOf(40));
  const auto drawn_again = Pick<RoundStarted>(again.Start().persist);

  ASSERT_THAT(drawn, SizeIs(1));
  EXPECT_THAT(drawn[0].invited, SizeIs(10));
  EXPECT_EQ(drawn[0].invited, drawn_again[0].invited);
  for (int i = 1; i <= 40; ++i) {
    const bool is_invited = std::find(drawn[0].invited.begin(), drawn[0].invited.end(), Node(i)) !=
                            drawn[0].invited.end();
    EXPECT_THAT(nobody.Join(i).send, SizeIs(is_invited ? 1 : 0)) << i;
  }
}

TEST(RoundTest, BelowTheQuorumNobodyIsCut) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Deliver(1);
  run.now += seconds(899);

  EXPECT_TRUE(run.Deadline().empty());
  EXPECT_EQ(run.machine.phase_name(), "training");
}

TEST(RoundTest, NodesWithoutProgressAreCutOnceTheQuorumIsMet) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.now += seconds(10);
  run.Progress(4);
  run.Deliver(1);
  run.Deliver(2);
  EXPECT_EQ(run.machine.phase_name(), "collecting");
  EXPECT_EQ(run.machine.NextDeadline(), run.now + seconds(20));  // node 3 joined 10 s ago

  run.now += seconds(20);
  const Outbox cut = run.Deadline();

  EXPECT_EQ(run.PartOf(3), Participation::kCut);
  EXPECT_EQ(run.PartOf(4), Participation::kTraining);
  EXPECT_THAT(Verdicts(cut), ElementsAre(Pair("node-3", proto::REJECT_REASON_STALLED)));
  EXPECT_THAT(Pick<EventRecorded>(cut.persist), SizeIs(1));
  EXPECT_EQ(run.machine.NextDeadline(), run.now + seconds(10));
  run.now += seconds(10);
  const Outbox last = run.Deadline();
  EXPECT_THAT(Pick<CommitWork>(last.work), SizeIs(1));
  EXPECT_EQ(Pick<CommitWork>(last.work)[0].survivor_count, 2u);
  EXPECT_EQ(run.machine.phase_name(), "committing");
  EXPECT_EQ(run.machine.NextDeadline(), std::nullopt);
}

TEST(RoundTest, EverySignOfLifePutsOffTheCut) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Deliver(1);
  run.Deliver(2);
  run.Offer(4);
  for (int i = 0; i < 5; ++i) {
    run.now += seconds(29);
    run.Progress(3, 0);
    run.Do(UploadAdvanced{Node(4)});
    run.now += seconds(1);
    run.Deadline();
  }

  EXPECT_EQ(run.PartOf(3), Participation::kTraining);
  EXPECT_EQ(run.PartOf(4), Participation::kUploading);
  run.now += seconds(29);
  run.Deadline();
  EXPECT_EQ(run.PartOf(3), Participation::kCut);
  EXPECT_EQ(run.PartOf(4), Participation::kCut);
}

TEST(RoundTest, ANodeDeadSinceAnEarlierRoundIsCutAsSoonAsTheQuorumIsMet) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  for (int i = 1; i <= 4; ++i) run.Deliver(i);
  run.Leave(4);
  run.now += seconds(31);
  run.Commit();
  ASSERT_EQ(run.round(), 2u);
  for (int i = 1; i <= 3; ++i) run.Deliver(i);

  EXPECT_LE(*run.machine.NextDeadline(), run.now);
  run.Deadline();
  EXPECT_EQ(run.PartOf(4), Participation::kCut);
  EXPECT_EQ(run.machine.phase_name(), "committing");
}

TEST(RoundTest, ANodeNeverSeenIsGivenTheStallTimeoutFromTheStart) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 3; ++i) run.Join(i);
  run.now += seconds(12);
  for (int i = 1; i <= 3; ++i) run.Deliver(i);

  EXPECT_EQ(run.machine.NextDeadline(), run.now + seconds(18));
}

TEST(RoundTest, ACutUploadIsDroppedAndRefused) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Offer(4);
  run.now += seconds(15);
  run.Progress(3);
  run.Deliver(1);
  run.Deliver(2);
  run.now += seconds(15);
  const Outbox cut = run.Deadline();

  ASSERT_THAT(Pick<DropUpload>(cut.uploads), SizeIs(1));
  EXPECT_EQ(Pick<DropUpload>(cut.uploads)[0].node, Node(4));
  EXPECT_THAT(Verdicts(run.Offer(4)), ElementsAre(Pair("node-4", proto::REJECT_REASON_STALLED)));
  EXPECT_THAT(Pick<AddUploadWork>(run.Complete(4).work), IsEmpty());
}

TEST(RoundTest, WithOverSelectionTheRoundIsCompleteAtTheCohortSize) {
  RoundPolicy policy = SmallPolicy();
  policy.round.nodes = 4;
  policy.round.cohort_fraction = 0.5;
  policy.round.over_selection = 2.0;
  policy.round.quorum = 1;
  RoundDriver run(policy);
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Deliver(1);
  run.Offer(3);
  const Outbox last = run.Deliver(2);

  EXPECT_EQ(run.machine.data().target, 2u);
  EXPECT_THAT(Pick<CommitWork>(last.work), SizeIs(1));
  EXPECT_EQ(run.PartOf(3), Participation::kSurplus);
  EXPECT_EQ(run.PartOf(4), Participation::kSurplus);
  EXPECT_THAT(Verdicts(last), ElementsAre(Pair("node-2", proto::REJECT_REASON_UNSPECIFIED),
                                          Pair("node-3", proto::REJECT_REASON_COHORT_FULL),
                                          Pair("node-4", proto::REJECT_REASON_COHORT_FULL)));
  EXPECT_THAT(Pick<DropAllUploads>(last.uploads), SizeIs(1));
  const Outbox late = run.Offer(4);
  EXPECT_THAT(Verdicts(late), ElementsAre(Pair("node-4", proto::REJECT_REASON_COHORT_FULL)));
  EXPECT_THAT(late.persist, IsEmpty()) << "ordinary, so no event";
}

TEST(RoundTest, WithoutProgressBelowTheQuorumTheRunFailsNamingWhoIsMissing) {
  RoundDriver run;
  run.Start();
  run.Join(1);
  run.Join(2);
  run.Deliver(1);
  run.now += seconds(100);
  run.Progress(2, 410);
  EXPECT_EQ(run.machine.NextDeadline(), run.now + seconds(900));
  run.now += seconds(900);
  const Outbox out = run.Deadline();

  ASSERT_TRUE(run.machine.is_finished());
  EXPECT_EQ(run.machine.data().ended->status, RunStatus::kFailed);
  EXPECT_THAT(
      run.machine.data().ended->detail,
      testing::AllOf(HasSubstr("round 1 has 1 of the 2 updates"),
                     HasSubstr("node-2 (training, 41 %"), HasSubstr("node-3 (not connected")));
  EXPECT_THAT(Pick<RunEnded>(out.persist), SizeIs(1));
  EXPECT_THAT(PeersSent(out, proto::Envelope::kJobEnd), ElementsAre(1, 2));
  EXPECT_FALSE(out.send[0].envelope.job_end().completed());
}

TEST(RoundTest, AQuorumOutOfReachFailsTheRunAtOnceNamingNodesAndReasons) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Fail(1, proto::REJECT_REASON_DATA);
  run.Fail(2, proto::REJECT_REASON_NOT_FINITE);
  EXPECT_FALSE(run.machine.is_finished());
  const Outbox out = run.Fail(3, proto::REJECT_REASON_RESOURCES);

  ASSERT_TRUE(run.machine.is_finished());
  EXPECT_EQ(run.machine.data().ended->status, RunStatus::kFailed);
  EXPECT_THAT(run.machine.data().ended->detail,
              testing::AllOf(HasSubstr("needs 2 updates and can get 1"), HasSubstr("node-1 ("),
                             HasSubstr("node-2 ("), HasSubstr("node-3 (")));
  EXPECT_THAT(Pick<DropAllUploads>(out.uploads), SizeIs(1));
}

TEST(RoundTest, AFailureForTheRoundCostsThatRoundOnly) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Offer(4);
  const Outbox failed = run.Fail(4, proto::REJECT_REASON_NOT_FINITE);
  for (int i = 1; i <= 3; ++i) run.Deliver(i);
  run.Commit();

  EXPECT_THAT(Pick<DropUpload>(failed.uploads), SizeIs(1));
  EXPECT_THAT(Pick<EventRecorded>(failed.persist), SizeIs(1));
  EXPECT_EQ(run.round(), 2u);
  EXPECT_EQ(run.PartOf(4), Participation::kTasked);
}

TEST(RoundTest, AFailureForTheJobLastsUntilAFreshJoin) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Say(Peer(4), RoundDriver::FailureMessage(4, 0));
  EXPECT_EQ(run.PartOf(4), Participation::kFailed);
  for (int i = 1; i <= 3; ++i) run.Deliver(i);
  run.Commit();
  EXPECT_EQ(run.PartOf(4), Participation::kFailed);
  run.Do(NodeJoined{Node(4), Peer(4)});  // a repeated Join over the same connection is not fresh
  for (int i = 1; i <= 3; ++i) run.Deliver(i);
  run.Leave(4);
  run.Join(4);
  EXPECT_EQ(run.PartOf(4), Participation::kFailed) << "this round is over for it";
  run.Commit();

  EXPECT_EQ(run.round(), 3u);
  EXPECT_EQ(run.PartOf(4), Participation::kTasked);
}

TEST(RoundTest, AFailureAfterTheUpdateWasAcceptedChangesNothing) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Deliver(1);

  EXPECT_TRUE(run.Fail(1).empty());
  EXPECT_EQ(run.PartOf(1), Participation::kAccepted);
}

TEST(RoundTest, AfterTheLastRoundTheEvaluationIsAwaitedThenTheJobEnds) {
  RoundPolicy policy = SmallPolicy();
  policy.round.count = 1;
  RoundDriver run(policy);
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  for (int i = 1; i <= 4; ++i) run.Deliver(i);
  const Outbox committed = run.Commit();

  EXPECT_EQ(run.machine.phase_name(), "evaluating");
  ASSERT_THAT(Pick<EvaluateWork>(committed.work), SizeIs(1));
  EXPECT_EQ(Pick<EvaluateWork>(committed.work)[0].version, ModelVersion(1));
  EXPECT_THAT(PeersSent(committed, proto::Envelope::kRoundClosed), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(PeersSent(committed, proto::Envelope::kJobEnd), IsEmpty());
  const Outbox end = run.Evaluate(1);
  ASSERT_THAT(end.persist, SizeIs(2));
  EXPECT_EQ(std::get<EvaluationRecorded>(end.persist[0]).metrics.at("loss"), 0.5);
  EXPECT_EQ(std::get<RunEnded>(end.persist[1]).status, RunStatus::kCompleted);
  EXPECT_THAT(PeersSent(end, proto::Envelope::kJobEnd), ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(end.send[0].envelope.job_end().completed());
  EXPECT_TRUE(run.machine.is_finished());
}

TEST(RoundTest, EvaluationsFollowTheirIntervalAndTheLastRound) {
  RoundPolicy policy = SmallPolicy();
  policy.round.count = 5;
  policy.evaluation.every_rounds = 2;
  RoundDriver run(policy);
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  std::vector<uint64_t> evaluated;
  for (int round = 1; round <= 5; ++round) {
    for (int i = 1; i <= 4; ++i) run.Deliver(i);
    for (const EvaluateWork& work : Pick<EvaluateWork>(run.Commit().work)) {
      evaluated.push_back(work.version.value());
    }
  }

  EXPECT_THAT(evaluated, ElementsAre(2, 4, 5));
  // An answer to an older one does not end the run, the newest does.
  run.Evaluate(4);
  EXPECT_FALSE(run.machine.is_finished());
  run.Evaluate(5);
  EXPECT_TRUE(run.machine.is_finished());
}

TEST(RoundTest, AnEvaluationIsRecordedOnceAndAFailedOneIsAnEvent) {
  RoundDriver run;
  run.Start();

  EXPECT_THAT(Pick<EvaluationRecorded>(run.Evaluate(1).persist), SizeIs(1));
  EXPECT_TRUE(run.Evaluate(1).empty());
  const Outbox failed = run.Evaluate(2, absl::InternalError("no memory"));
  ASSERT_THAT(Pick<EventRecorded>(failed.persist), SizeIs(1));
  EXPECT_THAT(Pick<EventRecorded>(failed.persist)[0].detail, HasSubstr("no memory"));
}

TEST(RoundTest, AFailedCommitFailsTheRunAndRecordsNoRound) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  for (int i = 1; i <= 4; ++i) run.Deliver(i);
  CommitDone done;
  done.round = RoundId(1);
  done.status = absl::ResourceExhaustedError("disk full");
  const Outbox out = run.Do(done);

  EXPECT_THAT(Pick<RoundCommitted>(out.persist), IsEmpty());
  EXPECT_TRUE(run.machine.is_finished());
  EXPECT_THAT(run.machine.data().ended->detail, HasSubstr("disk full"));
}

TEST(RoundTest, ALostSumFailsTheRun) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Deliver(1);
  run.Do(SumLost{"the spool file cannot be read back"});

  EXPECT_TRUE(run.machine.is_finished());
  EXPECT_EQ(run.machine.data().ended->status, RunStatus::kFailed);
  EXPECT_EQ(run.machine.data().ended->detail, "the spool file cannot be read back");
}

TEST(RoundTest, AStopInterruptsWithoutEndingTheJobForAgents) {
  RoundDriver run;
  run.Start();
  run.Join(1);
  const Outbox out = run.Do(StopRequested{"interrupted"});

  EXPECT_TRUE(run.machine.is_finished());
  ASSERT_THAT(out.persist, SizeIs(1));
  EXPECT_EQ(std::get<RunEnded>(out.persist[0]).status, RunStatus::kInterrupted);
  EXPECT_THAT(out.send, IsEmpty());
}

TEST(RoundTest, AStopDuringACommitFinishesItFirst) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  for (int i = 1; i <= 4; ++i) run.Deliver(i);
  EXPECT_TRUE(run.Do(StopRequested{"interrupted"}).empty());
  EXPECT_FALSE(run.machine.is_finished());
  const Outbox out = run.Commit();

  ASSERT_THAT(out.persist, SizeIs(2));
  EXPECT_EQ(std::get<RoundCommitted>(out.persist[0]).round, RoundId(1));
  EXPECT_EQ(std::get<RunEnded>(out.persist[1]).status, RunStatus::kInterrupted);
  EXPECT_THAT(PeersSent(out, proto::Envelope::kRoundClosed), SizeIs(4));
  EXPECT_TRUE(run.machine.is_finished());
}

TEST(RoundTest, AReplayWaitsForExactlyTheRecordedSurvivorsAndCutsNobody) {
  RoundPolicy policy = SmallPolicy();
  policy.replay = {{Node(3), Node(1)}, {Node(2)}};
  RoundDriver run(policy);
  const Outbox start = run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  EXPECT_EQ(Pick<RoundStarted>(start.persist)[0].invited, (std::vector{Node(1), Node(3)}));
  run.Deliver(1);
  run.now += seconds(500);
  run.Deadline();
  EXPECT_EQ(run.machine.phase_name(), "training");
  run.Deliver(3);
  EXPECT_EQ(run.machine.phase_name(), "committing");
  run.Commit();
  run.Deliver(2);
  run.Commit();

  EXPECT_EQ(run.machine.phase_name(), "evaluating") << "two recorded rounds, whatever round.count";
}

TEST(RoundTest, AReplayWhoseSurvivorFailsCannotGoOn) {
  RoundPolicy policy = SmallPolicy();
  policy.replay = {{Node(1), Node(3)}};
  RoundDriver run(policy);
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Fail(3);

  EXPECT_TRUE(run.machine.is_finished());
  EXPECT_EQ(run.machine.data().ended->status, RunStatus::kFailed);
}

}  // namespace
}  // namespace skerry
