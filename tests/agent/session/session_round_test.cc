// Tasks, models, trainings, uploads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/session/session_harness.h"

namespace skerry {
namespace {

using proto::Envelope;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<uint8_t> BytesIn(const BulkMessage& message) {
  return {message.raw->bytes().begin(), message.raw->bytes().end()};
}

TEST(SessionRoundTest, TrainsInTaskOrderAndNoMoreThanWorkersAtOnce) {
  SessionOptions options = HarnessOptions(3);
  options.workers = 2;
  SessionHarness agent(options);
  agent.BecomeActive();

  agent.Task(1, {"n-2", "n-0", "n-1"});
  const std::vector<TrainWork> first = agent.Works<TrainWork>();
  ASSERT_THAT(first, SizeIs(2));
  EXPECT_EQ(first[0].node, NodeId("n-2"));
  EXPECT_EQ(first[1].node, NodeId("n-0"));
  EXPECT_EQ(first[0].round, RoundId(1));
  EXPECT_EQ(first[0].scale_bits, 16u);
  EXPECT_THAT(first[0].model->values(), ElementsAreArray(agent.model));
  agent.Finish(first[1]);

  ASSERT_THAT(agent.Works<TrainWork>(), SizeIs(3));
  EXPECT_EQ(agent.LastWork<TrainWork>().node, NodeId("n-1"));
}

TEST(SessionRoundTest, WaitsForTheDataBeforeItTrains) {
  SessionHarness agent;
  agent.JoinAll();
  agent.Task(1, {"n-0", "n-1"});
  EXPECT_THAT(agent.Works<TrainWork>(), IsEmpty());

  agent.DataReady({{.node = NodeId("n-0"), .detail = "no such file"}});

  ASSERT_THAT(agent.Works<TrainWork>(), SizeIs(1));
  EXPECT_EQ(agent.LastWork<TrainWork>().node, NodeId("n-1"));
}

TEST(SessionRoundTest, ARepeatedTaskStartsNothingTwice) {
  SessionOptions options = HarnessOptions(3);
  options.workers = 3;
  SessionHarness agent(options);
  agent.BecomeActive();
  agent.Task(1, {"n-0", "n-1"});
  agent.Finish(agent.Works<TrainWork>()[0]);

  agent.Task(1, {"n-0", "n-1"});
  agent.Task(1, {"n-1", "n-2"});

  EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(3));
  EXPECT_THAT(agent.PullAll(), SizeIs(1));
}

TEST(SessionRoundTest, AFinishedUploadIsOfferedAgainOverANewLinkWithTheSameBytes) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.Finish(agent.LastWork<TrainWork>(), {9, 8, 7, 6});
  const std::vector<BulkMessage> first = agent.PullAll();
  ASSERT_THAT(first, SizeIs(1));

  agent.LinkDownNow();
  EXPECT_THAT(agent.PullAll(), IsEmpty());
  agent.out = {};
  agent.JoinAll();
  agent.Task(1, {"n-0"});
  const std::vector<BulkMessage> second = agent.PullAll();

  ASSERT_THAT(second, SizeIs(1));
  EXPECT_EQ(second[0].envelope.upload_offer().content_id(),
            first[0].envelope.upload_offer().content_id());
  EXPECT_EQ(BytesIn(second[0]), BytesIn(first[0]));
  EXPECT_THAT(agent.Works<TrainWork>(), IsEmpty());
}

TEST(SessionRoundTest, ARestartedCoordinatorGetsAnAcceptedUploadAgain) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.Finish(agent.LastWork<TrainWork>());
  agent.PullAll();
  agent.Result(1, "n-0");
  agent.LinkDownNow();
  agent.out = {};
  agent.JoinAll();
  EXPECT_THAT(agent.PullAll(), IsEmpty());  // perhaps only the link broke

  agent.Task(1, {"n-0"});

  EXPECT_THAT(agent.PullAll(), SizeIs(1));
  EXPECT_THAT(agent.Works<TrainWork>(), IsEmpty());
}

TEST(SessionRoundTest, AnotherRunForgetsEverything) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0", "n-1"});
  agent.Finish(agent.LastWork<TrainWork>());
  const TrainWork running = agent.LastWork<TrainWork>();
  agent.LinkDownNow();
  agent.run_id = std::string(32, 'b');
  agent.out = {};
  agent.JoinAll();
  EXPECT_THAT(agent.out.cancel, ElementsAre(running.training));
  agent.DataReady();

  agent.Task(1, {"n-0"});
  EXPECT_THAT(agent.Works<TrainWork>(), IsEmpty());  // the worker is still busy with the old run
  agent.Finish(running);

  EXPECT_THAT(agent.PullAll(), IsEmpty());
  ASSERT_THAT(agent.Works<TrainWork>(), SizeIs(1));
  EXPECT_EQ(agent.LastWork<TrainWork>().node, NodeId("n-0"));
}

TEST(SessionRoundTest, ANewRoundCancelsWhatIsLeftOfTheOldOne) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0", "n-1"});
  const TrainWork old = agent.LastWork<TrainWork>();
  agent.Task(2, {"n-2"});

  EXPECT_THAT(agent.out.cancel, ElementsAre(old.training));
  agent.Feed(TrainDone{.training = old.training, .outcome = TrainDone::Outcome::kCancelled});
  EXPECT_EQ(agent.LastWork<TrainWork>().node, NodeId("n-2"));
  EXPECT_EQ(agent.LastWork<TrainWork>().round, RoundId(2));
  EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(2));
}

TEST(SessionRoundTest, AClosedRoundIsForgottenAndALateRepeatOfItsTaskIgnored) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.Finish(agent.LastWork<TrainWork>());
  agent.Close(1);
  agent.out = {};

  agent.Task(1, {"n-0"});

  EXPECT_THAT(agent.PullAll(), IsEmpty());
  EXPECT_THAT(agent.out.work, IsEmpty());
  EXPECT_THAT(agent.Events(SessionEventKind::kMessageIgnored), SizeIs(1));
}

TEST(SessionRoundTest, ALateRepeatOfAnOlderTaskDoesNotDisturbTheNewerOne) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(2, {"n-0"});

  agent.Task(1, {"n-1"});

  EXPECT_THAT(agent.out.cancel, IsEmpty());
  EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(1));
}

TEST(SessionRoundTest, AnUploadThatWasTurnedDownIsOfferedToAReopenedRoundWithoutTraining) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.Finish(agent.LastWork<TrainWork>());
  agent.PullAll();
  agent.Result(1, "n-0", proto::REJECT_REASON_STALLED);
  agent.Wait(60 * kSecond);
  EXPECT_THAT(agent.PullAll(), IsEmpty());
  agent.LinkDownNow();
  agent.JoinAll();

  agent.Task(1, {"n-0"});

  EXPECT_THAT(agent.PullAll(), SizeIs(1));
  EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(1));
}

TEST(SessionRoundTest, ANodeThatIsToldToStopStopsAndTrainsAgainOnlyWhenAsked) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  const TrainWork work = agent.LastWork<TrainWork>();

  agent.Result(1, "n-0", proto::REJECT_REASON_STALLED);
  EXPECT_THAT(agent.out.cancel, ElementsAre(work.training));
  agent.Feed(TrainDone{.training = work.training, .outcome = TrainDone::Outcome::kCancelled});
  EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(1));
  agent.Task(1, {"n-0"});

  EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(2));
}

TEST(SessionRoundTest, ATrainingThatFinishedDespiteBeingToldToStopIsKept) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.Result(1, "n-0", proto::REJECT_REASON_STALLED);

  agent.Finish(agent.LastWork<TrainWork>());
  EXPECT_THAT(agent.PullAll(), IsEmpty());
  agent.Task(1, {"n-0"});

  EXPECT_THAT(agent.PullAll(), SizeIs(1));
  EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(1));
}

// Simulation seed 15988 had a node trained twice: asked again before its cancelled training ended.
TEST(SessionRoundTest, ANodeAskedAgainBeforeItHasStoppedIsNotTrainedASecondTime) {
  for (const bool has_stopped : {false, true}) {
    SessionOptions options = HarnessOptions();
    options.workers = 2;
    SessionHarness agent(options);
    agent.BecomeActive();
    agent.Task(1, {"n-0"});
    const TrainWork work = agent.LastWork<TrainWork>();
    agent.Result(1, "n-0", proto::REJECT_REASON_COHORT_FULL);

    agent.Task(1, {"n-0"});
    EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(1));
    if (has_stopped) {
      agent.Feed(TrainDone{.training = work.training, .outcome = TrainDone::Outcome::kCancelled});
    } else {
      agent.Finish(work);
    }

    EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(has_stopped ? 2 : 1));
    EXPECT_THAT(agent.PullAll(), SizeIs(has_stopped ? 0 : 1));
  }
}

TEST(SessionRoundTest, ACoordinatorThatDoesNotKnowANodeIsToldWhoItIsAgain) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.out = {};

  agent.Result(1, "n-0", proto::REJECT_REASON_OUT_OF_PHASE);

  EXPECT_THAT(agent.out.cancel, IsEmpty());
  ASSERT_TRUE(agent.machine.NextDeadline().has_value());
  agent.Wait(*agent.machine.NextDeadline() - agent.now);
  ASSERT_THAT(agent.Sent(Envelope::kJoin), SizeIs(1));
  EXPECT_EQ(agent.Sent(Envelope::kJoin)[0].join().nodes(0).node(), "n-0");
}

TEST(SessionRoundTest, AFailedTrainingIsToldAndToldAgainWhenTheTaskIsRepeated) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.Feed(TrainDone{.training = agent.LastWork<TrainWork>().training,
                       .outcome = TrainDone::Outcome::kFailed,
                       .failure = proto::REJECT_REASON_NOT_FINITE,
                       .detail = "the loss is NaN"});
  ASSERT_THAT(agent.Sent(Envelope::kNodeFailure), SizeIs(1));
  const proto::NodeFailure failure = agent.Sent(Envelope::kNodeFailure)[0].node_failure();
  EXPECT_EQ(failure.round(), 1u);
  EXPECT_EQ(failure.attempt(), 1u);
  EXPECT_EQ(failure.reason(), proto::REJECT_REASON_NOT_FINITE);

  agent.LinkDownNow();
  agent.JoinAll();
  agent.Task(1, {"n-0"});

  EXPECT_THAT(agent.Sent(Envelope::kNodeFailure), SizeIs(2));
  EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(1));
}

TEST(SessionRoundTest, ATrainingThatEndsWhileTheLinkIsDownIsNotLost) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.LinkDownNow();
  agent.Finish(agent.LastWork<TrainWork>());
  EXPECT_THAT(agent.PullAll(), IsEmpty());

  agent.JoinAll();

  EXPECT_THAT(agent.PullAll(), SizeIs(1));  // even before the task is repeated
}

TEST(SessionRoundTest, ASpoolThatIsFullCostsTheNodeItsRound) {
  SessionOptions options = HarnessOptions();
  options.upload_memory_bytes = 0;
  SessionHarness agent(options);
  agent.spool.is_full = true;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});

  agent.Finish(agent.LastWork<TrainWork>());

  ASSERT_THAT(agent.Sent(Envelope::kNodeFailure), SizeIs(1));
  EXPECT_EQ(agent.Sent(Envelope::kNodeFailure)[0].node_failure().reason(),
            proto::REJECT_REASON_RESOURCES);
}

// ---- the model ---------------------------------------------------------------------------------

Envelope Chunk(uint64_t version, uint64_t offset) {
  Envelope envelope;
  envelope.mutable_model_chunk()->set_model_version(version);
  envelope.mutable_model_chunk()->set_offset(offset);
  return envelope;
}

TEST(SessionRoundTest, AModelThatDidNotComeAlongIsFetchedInChunksAndResumedOverANewLink) {
  SessionOptions options = HarnessOptions();
  options.model_window_bytes = 16;
  SessionHarness agent(options);
  agent.BecomeActive();
  agent.TaskWithoutModel(3, {"n-0"});
  ASSERT_THAT(agent.Sent(Envelope::kModelRequest), SizeIs(1));
  EXPECT_EQ(agent.Sent(Envelope::kModelRequest)[0].model_request().model_version(), 2u);
  EXPECT_EQ(agent.Sent(Envelope::kModelRequest)[0].model_request().credit_until(), 16u);
  agent.Hear(Chunk(2, 0), agent.model_bytes().subspan(0, 12));
  agent.LinkDownNow();
  agent.out = {};
  agent.JoinAll();
  EXPECT_THAT(agent.Sent(Envelope::kModelRequest), IsEmpty());
  agent.TaskWithoutModel(3, {"n-0"});
  agent.TaskWithoutModel(3, {"n-0"});

  ASSERT_THAT(agent.Sent(Envelope::kModelRequest), SizeIs(1));
  EXPECT_EQ(agent.Sent(Envelope::kModelRequest)[0].model_request().offset(), 12u);
  agent.Hear(Chunk(2, 0), agent.model_bytes().subspan(0, 12));  // a repeat
  agent.Hear(Chunk(2, 12), agent.model_bytes().subspan(12, 12));
  agent.Hear(Chunk(2, 24), agent.model_bytes().subspan(24, 8));
  EXPECT_THAT(agent.LastWork<TrainWork>().model->values(), ElementsAreArray(agent.model));
}

TEST(SessionRoundTest, AModelAlreadyHeldIsNotFetchedAgain) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.Finish(agent.LastWork<TrainWork>());
  agent.out = {};

  agent.TaskWithoutModel(1, {"n-1"});

  EXPECT_THAT(agent.Sent(Envelope::kModelRequest), IsEmpty());
  EXPECT_THAT(agent.Works<TrainWork>(), SizeIs(1));
}

TEST(SessionRoundTest, AModelIsNotFetchedForNodesThatHaveFinished) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.TaskWithoutModel(1, {"n-0"});
  agent.Hear(Chunk(0, 0), agent.model_bytes());
  agent.Finish(agent.LastWork<TrainWork>());
  agent.LinkDownNow();
  agent.out = {};
  agent.JoinAll();

  agent.TaskWithoutModel(1, {"n-0"});

  EXPECT_THAT(agent.Sent(Envelope::kModelRequest), IsEmpty());
}

TEST(SessionRoundTest, AModelWithAnotherHashIsRefusedByEveryNodeOfTheTask) {
  SessionHarness agent;
  agent.BecomeActive();
  Envelope task = agent.TaskMessage(1, {"n-0", "n-1"});
  task.mutable_round_task()->set_model_sha256(std::string(32, 'x'));

  agent.Hear(task, agent.model_bytes());

  ASSERT_THAT(agent.Sent(Envelope::kNodeFailure), SizeIs(2));
  EXPECT_EQ(agent.Sent(Envelope::kNodeFailure)[1].node_failure().reason(),
            proto::REJECT_REASON_MODEL_MISMATCH);
  EXPECT_THAT(agent.Works<TrainWork>(), IsEmpty());
}

TEST(SessionRoundTest, AModelOfAnotherSizeThanTheJobsIsRefusedBeforeMemoryIsTaken) {
  SessionHarness agent;
  agent.BecomeActive();
  Envelope task = agent.TaskMessage(1, {"n-0"});
  task.mutable_round_task()->set_model_bytes(1ull << 60);

  agent.Hear(task);
  agent.Hear(agent.TaskMessage(1, {"n-0"}), agent.model_bytes().subspan(0, 8));

  ASSERT_THAT(agent.Sent(Envelope::kNodeFailure), SizeIs(2));
  EXPECT_THAT(agent.Sent(Envelope::kModelRequest), IsEmpty());
}

TEST(SessionRoundTest, AModelThatDoesNotComeIsAskedForAgain) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.TaskWithoutModel(1, {"n-0"});

  agent.Wait(5 * kSecond);

  EXPECT_THAT(agent.Sent(Envelope::kModelRequest), SizeIs(2));
}

// ---- uploads and progress ----------------------------------------------------------------------

TEST(SessionRoundTest, AThousandUploadsWaitForTheSocketInsteadOfTheOutbox) {
  SessionOptions options = HarnessOptions(1000);
  SessionHarness agent(options);
  agent.BecomeActive();
  std::vector<std::string> names;
  for (const NodeId& node : options.nodes) names.push_back(node.value());
  agent.Task(1, names);
  for (size_t i = 0; i < names.size(); ++i) agent.Finish(agent.LastWork<TrainWork>());

  EXPECT_THAT(agent.out.send, IsEmpty());
  EXPECT_THAT(agent.PullAll(), SizeIs(1000));
}

TEST(SessionRoundTest, ALargeUploadIsSentWithinItsGrant) {
  SessionOptions options = HarnessOptions();
  options.inline_upload_bytes_max = 2;
  SessionHarness agent(options);
  agent.job.transport.chunk_bytes = 3;
  agent.BecomeActive();
  agent.Task(1, {"n-0"});
  agent.Finish(agent.LastWork<TrainWork>(), {1, 2, 3, 4});
  const std::vector<BulkMessage> offer = agent.PullAll();
  ASSERT_THAT(offer, SizeIs(1));
  EXPECT_FALSE(offer[0].raw.has_value());

  Envelope grant;
  grant.mutable_upload_grant()->set_node("n-0");
  grant.mutable_upload_grant()->set_round(1);
  grant.mutable_upload_grant()->set_content_id(offer[0].envelope.upload_offer().content_id());
  grant.mutable_upload_grant()->set_credit_until(4);
  agent.Hear(grant);

  const std::vector<BulkMessage> chunks = agent.PullAll();
  ASSERT_THAT(chunks, SizeIs(2));
  EXPECT_THAT(BytesIn(chunks[0]), ElementsAre(1, 2, 3));
  EXPECT_EQ(chunks[1].envelope.upload_chunk().offset(), 3u);
  EXPECT_THAT(BytesIn(chunks[1]), ElementsAre(4));
}

TEST(SessionRoundTest, ProgressNamesWhoAdvancedAndWhoWaitsBehindThem) {
  SessionOptions options = HarnessOptions(4);
  options.workers = 2;
  SessionHarness agent(options);
  agent.BecomeActive();
  agent.Task(1, {"n-0", "n-1", "n-2"});
  agent.Wait(10 * kSecond);
  EXPECT_THAT(agent.Sent(Envelope::kProgress), IsEmpty());  // nothing has advanced

  agent.Feed(TrainProgressed{.training = agent.Works<TrainWork>()[0].training, .permille = 250});
  agent.Wait(kSecond - std::chrono::nanoseconds(1));
  EXPECT_THAT(agent.Sent(Envelope::kProgress), IsEmpty());
  agent.Wait(std::chrono::nanoseconds(1));

  ASSERT_THAT(agent.Sent(Envelope::kProgress), SizeIs(1));
  const proto::Progress progress = agent.Sent(Envelope::kProgress)[0].progress();
  EXPECT_EQ(progress.round(), 1u);
  ASSERT_EQ(progress.nodes_size(), 2);  // not n-1, which hangs
  EXPECT_EQ(progress.nodes(0).node(), "n-0");
  EXPECT_EQ(progress.nodes(0).phase(), proto::NodeProgress::PHASE_TRAINING);
  EXPECT_EQ(progress.nodes(0).permille(), 250u);
  EXPECT_EQ(progress.nodes(1).node(), "n-2");
  EXPECT_EQ(progress.nodes(1).phase(), proto::NodeProgress::PHASE_QUEUED);
  agent.Wait(10 * kSecond);
  EXPECT_THAT(agent.Sent(Envelope::kProgress), SizeIs(1));
}

TEST(SessionRoundTest, TheSameInputsGiveTheSameOutputs) {
  const auto transcript = [] {
    SessionHarness agent;
    agent.BecomeActive();
    agent.Task(1, {"n-0", "n-1", "n-2"});
    for (int i = 0; i < 3; ++i) agent.Finish(agent.LastWork<TrainWork>());
    std::string text;
    for (const Envelope& envelope : agent.out.send) text += envelope.SerializeAsString();
    for (const BulkMessage& bulk : agent.PullAll()) text += bulk.envelope.SerializeAsString();
    agent.Wait(5 * kSecond);
    for (const BulkMessage& bulk : agent.PullAll()) text += bulk.envelope.SerializeAsString();
    return text;
  };

  EXPECT_EQ(transcript(), transcript());
}

}  // namespace
}  // namespace skerry
