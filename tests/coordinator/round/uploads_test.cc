// Offers, repeats and refusals.
#include "tests/coordinator/round/round_driver.h"

namespace skerry {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

class UploadsTest : public testing::Test {
 protected:
  UploadsTest() {
    run_.Start();
    for (int i = 1; i <= 4; ++i) run_.Join(i);
  }
  // The only verdict of the answer to `message`.
  proto::RejectReason AnswerTo(PeerId peer, const proto::Envelope& message) {
    const auto verdicts = Verdicts(run_.Say(peer, message));
    EXPECT_THAT(verdicts, SizeIs(1));
    return verdicts.empty() ? proto::REJECT_REASON_UNSPECIFIED : verdicts[0].second;
  }
  RoundDriver run_;
};

TEST_F(UploadsTest, AnOfferIsReceivedAndItsCompletionAcknowledged) {
  const Outbox offered = run_.Say(Peer(1), RoundDriver::OfferMessage(1, 1), true);
  const Outbox complete = run_.Complete(1);

  ASSERT_THAT(offered.uploads, SizeIs(1));
  const ReceiveUpload& order = std::get<ReceiveUpload>(offered.uploads[0]);
  EXPECT_EQ(order.node, Node(1));
  EXPECT_EQ(order.peer, Peer(1));
  EXPECT_EQ(order.round, RoundId(1));
  EXPECT_EQ(order.content_id, 7u);
  EXPECT_EQ(order.bytes, 404u);
  EXPECT_TRUE(order.is_inline);
  EXPECT_THAT(offered.send, IsEmpty());
  const auto added = Pick<AddUploadWork>(complete.work);
  ASSERT_THAT(added, SizeIs(1));
  EXPECT_EQ(added[0].node, Node(1));
  EXPECT_EQ(added[0].content_id, 7u);
  EXPECT_THAT(Verdicts(complete), ElementsAre(Pair("node-1", proto::REJECT_REASON_UNSPECIFIED)));
}

TEST_F(UploadsTest, ARepeatOfTheAcceptedUploadIsAcknowledgedAgainAndNotAdded) {
  run_.Deliver(1);
  const Outbox again = run_.Offer(1);
  const Outbox complete = run_.Complete(1);

  EXPECT_THAT(Verdicts(again), ElementsAre(Pair("node-1", proto::REJECT_REASON_UNSPECIFIED)));
  EXPECT_THAT(again.uploads, IsEmpty());
  EXPECT_TRUE(complete.empty()) << "its bytes may still be on their way to the sum";
  EXPECT_EQ(run_.machine.data().accepted_count(), 1u);
}

TEST_F(UploadsTest, ASecondDifferentUploadIsRefused) {
  run_.Deliver(1);

  EXPECT_EQ(AnswerTo(Peer(1), RoundDriver::OfferMessage(1, 1, 8)), proto::REJECT_REASON_DUPLICATE);
  EXPECT_EQ(run_.PartOf(1), Participation::kAccepted);
  EXPECT_EQ(run_.machine.data().rejects.at(proto::REJECT_REASON_DUPLICATE), 1u);
}

TEST_F(UploadsTest, ARepeatWhileReceivingGoesOnOverTheNewConnection) {
  run_.Offer(1);
  run_.Leave(1);
  run_.Do(NodeJoined{Node(1), Peer(11)});
  const Outbox again = run_.Say(Peer(11), RoundDriver::OfferMessage(1, 1));

  ASSERT_THAT(again.uploads, SizeIs(1));
  EXPECT_EQ(std::get<ReceiveUpload>(again.uploads[0]).peer, Peer(11));
}

TEST_F(UploadsTest, AnotherContentWhileReceivingReplacesTheFirst) {
  run_.Offer(1, 7);
  const Outbox other = run_.Offer(1, 8);
  const Outbox late = run_.Complete(1, 7);
  const Outbox complete = run_.Complete(1, 8);

  ASSERT_THAT(other.uploads, SizeIs(2));
  EXPECT_EQ(std::get<DropUpload>(other.uploads[0]).node, Node(1));
  EXPECT_EQ(std::get<ReceiveUpload>(other.uploads[1]).content_id, 8u);
  EXPECT_TRUE(late.empty());
  ASSERT_THAT(Pick<AddUploadWork>(complete.work), SizeIs(1));
  EXPECT_EQ(Pick<AddUploadWork>(complete.work)[0].content_id, 8u);
}

TEST_F(UploadsTest, OffersThatDoNotFitTheRoundAreRefusedWithTheirReason) {
  EXPECT_EQ(AnswerTo(Peer(1), RoundDriver::OfferMessage(1, 2)), proto::REJECT_REASON_WRONG_ROUND);
  EXPECT_EQ(AnswerTo(Peer(1), RoundDriver::OfferMessage(1, 0)), proto::REJECT_REASON_ROUND_CLOSED);
  proto::Envelope attempt = RoundDriver::OfferMessage(1, 1);
  attempt.mutable_upload_offer()->set_attempt(2);
  EXPECT_EQ(AnswerTo(Peer(1), attempt), proto::REJECT_REASON_WRONG_ROUND);
  EXPECT_EQ(AnswerTo(Peer(2), RoundDriver::OfferMessage(1, 1)),
            proto::REJECT_REASON_NODE_ELSEWHERE);
  EXPECT_EQ(AnswerTo(Peer(9), RoundDriver::OfferMessage(9, 1)), proto::REJECT_REASON_NOT_IN_ROSTER);
  run_.Leave(2);
  EXPECT_EQ(AnswerTo(Peer(2), RoundDriver::OfferMessage(2, 1)), proto::REJECT_REASON_OUT_OF_PHASE);

  EXPECT_EQ(run_.PartOf(1), Participation::kTasked) << "none of these cost the node its round";
  uint64_t refused = 0;
  for (const auto& [reason, count] : run_.machine.data().rejects) refused += count;
  EXPECT_EQ(refused, 6u);
}

TEST_F(UploadsTest, AnUpdateOfAnotherLengthCostsItsSenderTheRound) {
  const proto::Envelope wrong = RoundDriver::OfferMessage(1, 1, 7, 408);
  EXPECT_EQ(AnswerTo(Peer(1), wrong), proto::REJECT_REASON_WRONG_LENGTH);
  EXPECT_EQ(run_.PartOf(1), Participation::kFailed);
  EXPECT_EQ(AnswerTo(Peer(1), RoundDriver::OfferMessage(1, 1)), proto::REJECT_REASON_WRONG_LENGTH);

  EXPECT_THAT(run_.Complete(1).work, IsEmpty());
}

TEST_F(UploadsTest, ALateUpdateIsRefusedCountedAndOneEvent) {
  for (int i = 1; i <= 3; ++i) run_.Deliver(i);
  run_.now += seconds(31);
  run_.Deadline();
  run_.Commit();

  const Outbox first = run_.Say(Peer(4), RoundDriver::OfferMessage(4, 1));
  const Outbox second = run_.Say(Peer(4), RoundDriver::OfferMessage(4, 1));

  EXPECT_THAT(Verdicts(first), ElementsAre(Pair("node-4", proto::REJECT_REASON_ROUND_CLOSED)));
  EXPECT_EQ(first.send[0].envelope.upload_result().round(), 1u);
  ASSERT_THAT(Pick<EventRecorded>(first.persist), SizeIs(1));
  EXPECT_EQ(Pick<EventRecorded>(first.persist)[0].kind, "late update refused");
  EXPECT_THAT(second.persist, IsEmpty());
  EXPECT_EQ(run_.machine.data().rejects.at(proto::REJECT_REASON_ROUND_CLOSED), 2u);
}

TEST_F(UploadsTest, ANodeOutsideTheCohortIsNotInvited) {
  RoundPolicy policy = SmallPolicy();
  policy.round.cohort_fraction = 0.5;
  RoundDriver run(policy);
  const auto invited = Pick<RoundStarted>(run.Start().persist)[0].invited;
  ASSERT_THAT(invited, SizeIs(2));
  for (int i = 1; i <= 4; ++i) {
    run.Join(i);
    if (std::find(invited.begin(), invited.end(), Node(i)) != invited.end()) continue;
    EXPECT_THAT(Verdicts(run.Offer(i)),
                ElementsAre(Pair(Node(i).value(), proto::REJECT_REASON_NOT_INVITED)));
    EXPECT_THAT(Verdicts(run.Progress(i)),
                ElementsAre(Pair(Node(i).value(), proto::REJECT_REASON_NOT_INVITED)));
  }
}

TEST_F(UploadsTest, ACompletionNobodyWaitsForDropsTheBytes) {
  run_.Fail(1);
  const Outbox out = run_.Complete(1);

  EXPECT_THAT(out.work, IsEmpty());
  ASSERT_THAT(Pick<DropUpload>(out.uploads), SizeIs(1));
}

TEST_F(UploadsTest, AnUploadThatBreaksTheEncodingCostsItsSenderTheRound) {
  run_.Offer(1);
  EXPECT_TRUE(run_.Do(UploadBroken{Node(1), RoundId(1), 8}).empty()) << "of an older content";
  const Outbox out = run_.Do(UploadBroken{Node(1), RoundId(1), 7});

  EXPECT_EQ(run_.PartOf(1), Participation::kFailed);
  EXPECT_THAT(Verdicts(out), ElementsAre(Pair("node-1", proto::REJECT_REASON_MALFORMED)));
  EXPECT_THAT(Pick<DropUpload>(out.uploads), SizeIs(1));
  EXPECT_THAT(Pick<EventRecorded>(out.persist), SizeIs(1));
  EXPECT_EQ(run_.machine.data().rejects.at(proto::REJECT_REASON_MALFORMED), 1u);
  EXPECT_TRUE(run_.Do(UploadBroken{Node(1), RoundId(1), 7}).empty()) << "a repeat";
}

TEST_F(UploadsTest, ANodeThatLeavesAfterItsUploadIsCompleteStaysInTheSum) {
  run_.Offer(1);
  run_.Leave(1);
  const Outbox complete = run_.Complete(1);

  EXPECT_EQ(run_.PartOf(1), Participation::kAccepted);
  EXPECT_THAT(Pick<AddUploadWork>(complete.work), SizeIs(1));
  EXPECT_THAT(complete.send, IsEmpty());
  run_.Join(1);
  EXPECT_THAT(Verdicts(run_.Offer(1)),
              ElementsAre(Pair("node-1", proto::REJECT_REASON_UNSPECIFIED)));
}

TEST_F(UploadsTest, ProgressListsManyNodesAndIsAnsweredOnlyForThoseOutOfTheRound) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Do(NodeJoined{Node(i), Peer(9)});
  proto::Envelope failure = RoundDriver::FailureMessage(4, 1);
  run.Say(Peer(9), failure);
  proto::Envelope message;
  message.mutable_progress()->set_round(1);
  for (const int i : {1, 2, 4}) {
    proto::NodeProgress& progress = *message.mutable_progress()->add_nodes();
    progress.set_node(Node(i).value());
    progress.set_permille(i == 1 ? 4000 : 0);
    progress.set_phase(i == 2 ? proto::NodeProgress::PHASE_QUEUED
                              : proto::NodeProgress::PHASE_TRAINING);
  }
  const Outbox out = run.Say(Peer(9), message);

  EXPECT_EQ(run.PartOf(1), Participation::kTraining);
  EXPECT_EQ(run.machine.data().participants.at(Node(1)).permille, 1000u);
  EXPECT_EQ(run.PartOf(2), Participation::kTraining);
  EXPECT_EQ(run.PartOf(3), Participation::kTasked);
  EXPECT_THAT(Verdicts(out), ElementsAre(Pair("node-4", proto::REJECT_REASON_DATA)));
  EXPECT_EQ(run.machine.data().count(Participation::kTraining), 2u);
}

TEST_F(UploadsTest, OtherMessagesAreCountedAndNotAnswered) {
  proto::Envelope message;
  message.mutable_hello();
  EXPECT_TRUE(run_.Say(Peer(1), message).empty());
  EXPECT_EQ(run_.machine.data().rejects.at(proto::REJECT_REASON_UNKNOWN_MESSAGE), 1u);
}

}  // namespace
}  // namespace skerry
