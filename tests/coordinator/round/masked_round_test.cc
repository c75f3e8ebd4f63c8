// Rounds with secure aggregation, step by step: who is waited for, what is durable before what is
// sent, and what happens when too few are left.
#include "common/protocol/limits.h"
#include "tests/coordinator/round/masked_run.h"

namespace skerry {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

const std::vector<int> kAll = {1, 2, 3, 4, 5, 6};

TEST(MaskedRoundTest, RunsFromKeysToACommitWithEverythingDurableBeforeItIsAsked) {
  MaskedRun run;
  run.StartWith(kAll);
  Outbox out;
  for (const int i : kAll) out = run.Advertise(i);
  EXPECT_EQ(Pick<SessionStored>(out.persist).size(), 1u);  // beside the roster it sends
  EXPECT_EQ(out.send.size(), 6u);
  out = run.ShareFor(out);
  ASSERT_EQ(Pick<SessionStored>(out.persist).size(), 1u);
  EXPECT_EQ(Pick<SessionStored>(out.persist)[0].state.shares_size(), 6);
  run.TakeDelivery(out);
  for (const int i : kAll) out = run.driver.Deliver(i);

  EXPECT_EQ(run.phase(), "unmasking");
  ASSERT_EQ(Pick<SealSumWork>(out.work).size(), 1u);
  for (const OutgoingMessage& message : out.send) {
    EXPECT_FALSE(message.envelope.has_survivor_set());  // not before the sum is durable
  }
  out = run.Seal();
  ASSERT_EQ(Pick<SessionStored>(out.persist).size(), 1u);
  EXPECT_FALSE(Pick<SessionStored>(out.persist)[0].state.survivors().empty());
  out = run.Sign(out);
  ASSERT_EQ(Pick<SessionStored>(out.persist).size(), 1u);
  EXPECT_TRUE(Pick<SessionStored>(out.persist)[0].state.has_unmask_request());
  out = run.Unmask(out);

  EXPECT_EQ(run.phase(), "committing");
  ASSERT_EQ(Pick<CommitWork>(out.work).size(), 1u);
  ASSERT_NE(Pick<CommitWork>(out.work)[0].unmask, nullptr);
  EXPECT_OK(RecoverMasks(*Pick<CommitWork>(out.work)[0].unmask).status());
}

TEST(MaskedRoundTest, SilentNodeIsLeftOutOfTheKeysOnceEnoughAreThere) {
  MaskedRun run;
  run.StartWith({1, 2, 3, 4, 5});
  for (const int i : {1, 2, 3, 4, 5}) run.Advertise(i);
  EXPECT_EQ(run.driver.machine.data().secagg->stage(), SecAggServer::Stage::kKeys);

  run.driver.now += seconds(30);
  const Outbox out = run.driver.Deadline();

  EXPECT_EQ(run.driver.PartOf(6), Participation::kCut);
  EXPECT_EQ(run.driver.machine.data().secagg->stage(), SecAggServer::Stage::kShares);
  EXPECT_EQ(run.driver.machine.data().secagg->roster().size(), 5u);
}

TEST(MaskedRoundTest, KeysThatAnotherNodeSignedAreRefused) {
  MaskedRun run;
  run.StartWith(kAll);
  run.Advertise(1);
  proto::Envelope forged;
  *forged.mutable_key_advert() = run.clients[1]->advert();
  forged.mutable_key_advert()->set_node(Node(2).value());

  const Outbox out = run.driver.Say(Peer(2), forged);

  EXPECT_THAT(Verdicts(out), ElementsAre(Pair("node-2", proto::REJECT_REASON_BAD_SIGNATURE)));
  EXPECT_EQ(run.driver.PartOf(2), Participation::kFailed);
}

TEST(MaskedRoundTest, UpdateOfANodeOutsideTheSessionIsRefused) {
  MaskedRun run;
  run.StartWith(kAll);
  run.Advertise(1);

  const Outbox out = run.driver.Offer(1);

  EXPECT_THAT(Verdicts(out), ElementsAre(Pair("node-1", proto::REJECT_REASON_KEYS_CLOSED)));
  EXPECT_THAT(out.uploads, IsEmpty());
}

TEST(MaskedRoundTest, NodeThatComesBackWithoutItsKeysIsOutOfTheSession) {
  MaskedRun run;
  run.StartWith(kAll);
  for (const int i : kAll) run.Advertise(i);
  run.driver.Leave(2);
  run.driver.Join(2);

  const Outbox out = run.Advertise(2);  // new ones

  EXPECT_THAT(Verdicts(out), ElementsAre(Pair("node-2", proto::REJECT_REASON_KEYS_CLOSED)));
  EXPECT_EQ(run.driver.PartOf(2), Participation::kFailed);
  EXPECT_EQ(run.phase(), "training");
}

// A process with hundreds of nodes would otherwise be sent more at once than may wait for it.
TEST(MaskedRoundTest, NodesOfOneProcessThatComeBackTogetherAreToldTogether) {
  MaskedRun run;
  run.StartWith(kAll);
  Outbox out;
  for (const int i : kAll) out = run.Advertise(i);
  run.ShareFor(out);
  ASSERT_EQ(run.driver.machine.data().secagg->stage(), SecAggServer::Stage::kUpdates);

  Outbox back;
  for (const int i : {1, 2, 3, 4}) {
    run.driver.machine.Handle(NodeJoined{Node(i), Peer(9)}, run.driver.now, back);
  }

  ASSERT_EQ(back.send.size(), 3u);
  for (const OutgoingMessage& message : back.send) EXPECT_EQ(message.peer, Peer(9));
  EXPECT_EQ(back.send[0].envelope.round_task().nodes_size(), 4);
  EXPECT_EQ(back.send[1].envelope.key_roster().adverts_size(), 6);
  const proto::ShareDelivery& delivery = back.send[2].envelope.share_delivery();
  ASSERT_EQ(delivery.nodes_size(), 4);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(delivery.nodes(i).node(), Node(i + 1).value());
    EXPECT_EQ(delivery.nodes(i).sealed().size(), 5 * protocol::kSealedShareBytes);
  }
}

TEST(MaskedRoundTest, DropoutAfterTheSharesCostsItsUpdateOnly) {
  MaskedRun run;
  run.RunUpTo(kAll, {1, 2, 3, 4, 5});
  run.driver.now += seconds(30);
  run.driver.Deadline();  // node 6 is cut

  EXPECT_EQ(run.phase(), "unmasking");
  const Outbox out = run.Unmask(run.Sign(run.Seal()));

  ASSERT_EQ(Pick<CommitWork>(out.work).size(), 1u);
  const CommitWork work = Pick<CommitWork>(out.work)[0];
  EXPECT_EQ(work.survivor_count, 5u);
  EXPECT_EQ(work.unmask->members.size(), 6u);
  EXPECT_EQ(work.unmask->survivors.size(), 5u);
  EXPECT_OK(RecoverMasks(*work.unmask).status());
}

TEST(MaskedRoundTest, AttemptIsGivenUpWhenTooFewCanOpenTheSum) {
  MaskedRun run;
  run.RunUpTo(kAll, kAll);
  run.Seal();
  Outbox out;
  for (const int i : {1, 2}) out = run.driver.Fail(i, proto::REJECT_REASON_SECAGG);
  EXPECT_EQ(run.phase(), "unmasking");

  out = run.driver.Fail(3, proto::REJECT_REASON_SECAGG);  // 3 of the 4 that are needed remain

  EXPECT_EQ(run.phase(), "training");
  EXPECT_EQ(run.driver.machine.data().attempt, AttemptId(2));
  EXPECT_EQ(Pick<DiscardSumWork>(out.work).size(), 1u);
  ASSERT_EQ(Pick<RoundStarted>(out.persist).size(), 1u);
  EXPECT_EQ(Pick<RoundStarted>(out.persist)[0].attempt, AttemptId(2));
  ASSERT_EQ(Pick<EventRecorded>(out.persist).size(), 1u);
  EXPECT_THAT(Pick<EventRecorded>(out.persist)[0].detail, HasSubstr("nothing was opened"));
  // Everyone is asked to train anew.
  size_t tasks = 0;
  for (const OutgoingMessage& message : out.send) tasks += message.envelope.has_round_task();
  EXPECT_EQ(tasks, 6u);
}

TEST(MaskedRoundTest, SharesThatDoNotOpenTheSumCostTheAttempt) {
  MaskedRun run;
  run.RunUpTo(kAll, kAll);
  run.Unmask(run.Sign(run.Seal()));
  ASSERT_EQ(run.phase(), "committing");
  CommitDone done;
  done.round = RoundId(1);
  done.is_unmasking_broken = true;
  done.status = absl::FailedPreconditionError("the shares do not fit together");

  run.driver.Do(done);

  EXPECT_EQ(run.phase(), "training");
  EXPECT_EQ(run.driver.machine.data().attempt, AttemptId(2));
}

TEST(MaskedRoundTest, MessagesOfAnAttemptThatWasGivenUpChangeNothing) {
  MaskedRun run;
  run.RunUpTo(kAll, kAll);
  run.Seal();
  for (const int i : {1, 2, 3}) run.driver.Fail(i, proto::REJECT_REASON_SECAGG);
  ASSERT_EQ(run.driver.machine.data().attempt, AttemptId(2));
  proto::Envelope stale;
  *stale.mutable_key_advert() = run.clients[4]->advert();

  EXPECT_TRUE(run.driver.Say(Peer(4), stale).empty());
  EXPECT_TRUE(run.driver.Fail(5, proto::REJECT_REASON_SECAGG).empty());
  EXPECT_TRUE(run.driver.Offer(6).empty());
}

TEST(MaskedRoundTest, RestartAfterTheSurvivorsWereFixedAsksTheSameQuestionAgain) {
  MaskedRun before;
  before.RunUpTo(kAll, kAll);
  const Outbox asked = before.Seal();
  RestoredRun restored = FreshRun();
  restored.open_round =
      RoundStarted{.round = RoundId(1), .attempt = AttemptId(1), .invited = RosterOf(6)};
  restored.session = Pick<SessionStored>(asked.persist)[0].state;
  MaskedRun after(restored);
  after.clients = std::move(before.clients);

  after.driver.Start();
  EXPECT_EQ(after.phase(), "unmasking");
  Outbox out;
  for (const int i : kAll) {
    const Outbox again = after.driver.Join(i);
    ASSERT_EQ(again.send.size(), 1u);
    ASSERT_TRUE(again.send[0].envelope.has_survivor_set());
    EXPECT_EQ(again.send[0].envelope.survivor_set().survivors(), restored.session->survivors());
    out.send.push_back(again.send[0]);
  }
  out = after.Unmask(after.Sign(out));

  EXPECT_EQ(after.phase(), "committing");
  EXPECT_OK(RecoverMasks(*Pick<CommitWork>(out.work)[0].unmask).status());
}

TEST(MaskedRoundTest, WhileUnmaskingEveryInputHasAnAnswer) {
  const auto in_phase = [] {
    auto run = std::make_unique<MaskedRun>();
    run->RunUpTo(kAll, kAll);
    run->Seal();
    return run;
  };
  CommitDone done;
  done.round = RoundId(1);
  const std::vector<std::pair<Input, std::string>> inputs = {
      {NodeJoined{Node(1), Peer(9)}, "unmasking"},
      {NodeLeft{Node(1), "gone"}, "unmasking"},
      {RosterChanged{RosterOf(5)}, "unmasking"},
      {UploadAdvanced{Node(1)}, "unmasking"},
      {UploadComplete{Node(1), RoundId(1), 7}, "unmasking"},
      {UploadBroken{Node(1), RoundId(1), 7}, "unmasking"},
      {SumLost{"spool"}, "finished"},
      {SumSealed{RoundId(1), AttemptId(1), absl::OkStatus()}, "unmasking"},
      {done, "unmasking"},
      {EvaluationDone{}, "unmasking"},
      {StopRequested{"stop"}, "finished"}};
  ASSERT_EQ(inputs.size(), std::variant_size_v<Input>);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto run = in_phase();
    ASSERT_EQ(run->phase(), "unmasking");
    run->driver.Do(inputs[i].first);
    EXPECT_EQ(run->phase(), inputs[i].second) << "input " << i;
  }
  const auto run = in_phase();
  run->driver.now += seconds(900);
  run->driver.Deadline();
  EXPECT_EQ(run->phase(), "finished");
  EXPECT_THAT(run->driver.machine.data().ended->detail, HasSubstr("Resume the run"));
}

}  // namespace
}  // namespace skerry
