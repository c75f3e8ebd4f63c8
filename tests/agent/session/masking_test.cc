// The way of an update under secure aggregation, and what an agent answers a coordinator that does
// not keep to the protocol. This process hosts all three nodes of the session; the coordinator's
// half is the real one.
#include <cstring>

#include "common/base/bytes.h"
#include "common/secagg/job_encoding.h"
#include "common/secagg/secagg_server.h"
#include "tests/agent/session/session_harness.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using proto::Envelope;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const std::vector<std::string> kNodes = {"n-0", "n-1", "n-2"};

SessionOptions MaskedOptions() {
  SessionOptions options = HarnessOptions();
  options.workers = 3;
  options.roster_nodes = 3;
  options.policy = {.cohort_min = 3, .survivors_min = 2};
  options.policy.colluders_min = 0;
  return options;
}

class MaskingTest : public testing::Test {
 protected:
  explicit MaskingTest(const SessionOptions& options = MaskedOptions(), PrivacyConfig privacy = {})
      : agent(options) {
    agent.roster_size = 3;
    agent.job.privacy = privacy;
    agent.job.round = {.count = 5, .nodes = 3, .quorum = 2};
    agent.job.secagg = {.enabled = true, .colluders = 0, .dropout_tolerance = 1};
    agent.BecomeActive();
  }

  SecAggServer Server(uint64_t round, uint32_t attempt = 1) {
    const auto encoding = EncodingOf(agent.job, kParameters);
    SessionParams params{.run = RunId(agent.run_id),
                         .round = RoundId(round),
                         .attempt = AttemptId(attempt),
                         .model_sha256 = Sha256Of(agent.model_bytes()),
                         .job_sha256 = Sha256Of("the job"),
                         .vector_length = encoding->layout().size(),
                         .scale_bits = static_cast<uint32_t>(encoding->scale_bits()),
                         .colluders = agent.job.secagg.colluders,
                         .dropout_tolerance = agent.job.secagg.dropout_tolerance,
                         .min_survivors = agent.job.secagg.min_survivors};
    return SecAggServer(
        {.params = params, .identity_of = agent.Functions().identity_of, .crypto = &agent.crypto});
  }

  void GiveTask(uint64_t round, uint32_t attempt = 1) {
    Envelope task = agent.TaskMessage(round, kNodes);
    task.mutable_round_task()->set_attempt(attempt);
    agent.Hear(task, agent.model_bytes());
  }

  // The keys of all nodes, taken from the outbox.
  void TakeAdverts(SecAggServer& server) {
    for (const Envelope& sent : agent.Sent(Envelope::kKeyAdvert)) {
      EXPECT_EQ(server.TakeAdvert(sent.key_advert()), proto::REJECT_REASON_UNSPECIFIED);
    }
  }
  Envelope RosterMessage(const SecAggServer& server) {
    Envelope message;
    *message.mutable_key_roster() = server.key_roster();
    return message;
  }
  Envelope DeliveryMessage(const SecAggServer& server) {
    Envelope message;
    *message.mutable_share_delivery() =
        server.DeliveryFor(std::vector<NodeId>{NodeId("n-0"), NodeId("n-1"), NodeId("n-2")});
    return message;
  }
  void ExchangeKeys(SecAggServer& server) {
    TakeAdverts(server);
    ASSERT_OK(server.CloseKeys());
    agent.Hear(RosterMessage(server));
    for (const Envelope& sent : agent.Sent(Envelope::kKeyShares)) {
      EXPECT_EQ(server.TakeShares(sent.key_shares()), proto::REJECT_REASON_UNSPECIFIED);
    }
    server.CloseShares();
  }
  void FinishTrainings() {
    for (const TrainWork& work : agent.Works<TrainWork>()) {
      agent.Finish(work, std::vector<uint8_t>(10 * sizeof(RingElement), 7));
    }
  }
  void FinishMaskings() {
    for (const MaskWork& work : agent.Works<MaskWork>()) {
      std::vector<RingElement> words(work.update.size() / sizeof(RingElement));
      std::memcpy(words.data(), work.update.bytes().data(), work.update.size());
      ApplyMasks(words, *work.masks);
      const std::span<const uint8_t> bytes = AsBytes(std::span<const RingElement>(words));
      agent.Feed(MaskDone{.training = work.training,
                          .upload = Frame::Own(std::vector<uint8_t>(bytes.begin(), bytes.end()))});
    }
  }
  // Up to three masked uploads that the coordinator has.
  SecAggServer RunToUploads() {
    GiveTask(1);
    SecAggServer server = Server(1);
    ExchangeKeys(server);
    agent.Hear(DeliveryMessage(server));
    FinishTrainings();
    FinishMaskings();
    agent.PullAll();
    agent.out = {};
    return server;
  }
  Envelope SurvivorMessage(const SecAggServer& server) {
    Envelope message;
    *message.mutable_survivor_set() = server.survivor_set();
    for (const std::string& node : kNodes) message.mutable_survivor_set()->add_nodes(node);
    return message;
  }
  Envelope UnmaskMessage(const SecAggServer& server) {
    Envelope message;
    *message.mutable_unmask_request() = server.unmask_request();
    for (const std::string& node : kNodes) message.mutable_unmask_request()->add_nodes(node);
    return message;
  }
  void TakeSignatures(SecAggServer& server) {
    for (const Envelope& sent : agent.Sent(Envelope::kSurvivorSignature)) {
      EXPECT_EQ(server.TakeSignature(sent.survivor_signature()), proto::REJECT_REASON_UNSPECIFIED);
    }
  }
  std::vector<proto::RejectReason> Failures() {
    std::vector<proto::RejectReason> reasons;
    for (const Envelope& sent : agent.Sent(Envelope::kNodeFailure)) {
      reasons.push_back(sent.node_failure().reason());
    }
    return reasons;
  }

  SessionHarness agent;
};

// The same with noise for whole nodes in the sum.
class PrivateMaskingTest : public MaskingTest {
 protected:
  PrivateMaskingTest()
      : MaskingTest(PrivateOptions(), {.enabled = true,
                                       .unit = PrivacyUnit::kClient,
                                       .epsilon = 8.0,
                                       .noise_multiplier = 4.0,
                                       .placement = NoisePlacement::kDistributed,
                                       .sampling = {.scheme = SamplingScheme::kFixed}}) {}

  static SessionOptions PrivateOptions() {
    SessionOptions options = MaskedOptions();
    options.policy.epsilon_total.reset();
    return options;
  }
};

TEST_F(MaskingTest, UpdateWaitsForItsMasksAndLeavesMaskedOnly) {
  GiveTask(1);
  SecAggServer server = Server(1);
  FinishTrainings();
  EXPECT_THAT(agent.PullAll(), IsEmpty());  // trained, but nothing to hide behind yet
  ExchangeKeys(server);
  EXPECT_THAT(agent.PullAll(), IsEmpty());

  agent.Hear(DeliveryMessage(server));
  ASSERT_THAT(agent.Works<MaskWork>(), SizeIs(3));
  EXPECT_THAT(*agent.Works<MaskWork>()[0].masks, SizeIs(3));  // its own and one for each other
  FinishMaskings();

  const std::vector<BulkMessage> bulk = agent.PullAll();
  ASSERT_THAT(bulk, SizeIs(3));
  std::vector<RingElement> sum(10);
  for (const BulkMessage& message : bulk) {
    std::vector<RingElement> words(10);
    ASSERT_EQ(message.raw->size(), words.size() * sizeof(RingElement));
    std::memcpy(words.data(), message.raw->bytes().data(), message.raw->size());
    EXPECT_NE(words[0], 0x07070707u);
    AddInto(sum, words);
  }
  // And the coordinator's half opens the sum.
  agent.out = {};
  server.CloseUpdates(std::vector<NodeId>{NodeId("n-0"), NodeId("n-1"), NodeId("n-2")});
  agent.Hear(SurvivorMessage(server));
  TakeSignatures(server);
  server.CloseSignatures();
  agent.Hear(UnmaskMessage(server));
  for (const Envelope& sent : agent.Sent(Envelope::kUnmaskShares)) {
    EXPECT_EQ(server.TakeUnmaskShares(sent.unmask_shares()), proto::REJECT_REASON_UNSPECIFIED);
  }
  ASSERT_OK_AND_ASSIGN(const std::vector<MaskKey> masks, RecoverMasks(server.RecoveryInput()));
  ApplyMasks(sum, masks);
  EXPECT_EQ(sum, std::vector<RingElement>(10, 3 * 0x07070707u));
}

TEST_F(MaskingTest, MemberThatTheSiteDoesNotKnowEndsTheSession) {
  GiveTask(1);
  SecAggServer server = Server(1);
  TakeAdverts(server);
  ASSERT_OK(server.CloseKeys());
  agent.out = {};
  Envelope roster = RosterMessage(server);
  roster.mutable_key_roster()->mutable_adverts(2)->set_node("stranger");

  agent.Hear(roster);

  EXPECT_THAT(agent.Sent(Envelope::kKeyShares), IsEmpty());
  EXPECT_EQ(Failures(), std::vector(3, proto::REJECT_REASON_SECAGG));
  EXPECT_THAT(agent.Events(SessionEventKind::kNodeFailed)[0].detail,
              HasSubstr("not in the pinned roster"));
}

TEST_F(MaskingTest, TheSameQuestionGetsTheSameBytesAndAnotherOneNothing) {
  SecAggServer server = RunToUploads();
  server.CloseUpdates(std::vector<NodeId>{NodeId("n-0"), NodeId("n-1"), NodeId("n-2")});
  agent.Hear(SurvivorMessage(server));
  const std::vector<Envelope> first = agent.Sent(Envelope::kSurvivorSignature);
  agent.out = {};
  agent.Hear(SurvivorMessage(server));
  const std::vector<Envelope> second = agent.Sent(Envelope::kSurvivorSignature);
  ASSERT_THAT(first, SizeIs(3));
  ASSERT_THAT(second, SizeIs(3));
  EXPECT_EQ(first[0].SerializeAsString(), second[0].SerializeAsString());

  agent.out = {};
  Envelope other = SurvivorMessage(server);
  MemberSet fewer(3);
  fewer.Insert(0);
  fewer.Insert(1);
  other.mutable_survivor_set()->set_survivors(fewer.bitmap());
  agent.Hear(other);

  EXPECT_THAT(agent.Sent(Envelope::kSurvivorSignature), IsEmpty());
  EXPECT_EQ(Failures(), std::vector(3, proto::REJECT_REASON_SECAGG));
}

TEST_F(MaskingTest, UnmaskRequestBeforeASignedSetEndsTheSession) {
  SecAggServer server = RunToUploads();
  Envelope request;
  MemberSet all(3);
  for (size_t i = 0; i < 3; ++i) all.Insert(i);
  request.mutable_unmask_request()->set_round(1);
  request.mutable_unmask_request()->set_attempt(1);
  request.mutable_unmask_request()->set_survivors(all.bitmap());
  for (const std::string& node : kNodes) request.mutable_unmask_request()->add_nodes(node);

  agent.Hear(request);

  EXPECT_THAT(agent.Sent(Envelope::kUnmaskShares), IsEmpty());
  EXPECT_EQ(Failures(), std::vector(3, proto::REJECT_REASON_SECAGG));
}

TEST_F(MaskingTest, RoundWhoseUpdateWasMaskedIsNeverBegunAgain) {
  RunToUploads();
  Envelope closed;
  closed.mutable_round_closed()->set_round(1);
  agent.Hear(closed);
  agent.LinkUpNow();  // another link: nothing is remembered of the last one
  agent.Hear(agent.WelcomeMessage());
  agent.Hear(agent.JoinResultMessage());
  agent.out = {};

  GiveTask(1);

  EXPECT_THAT(agent.Sent(Envelope::kKeyAdvert), IsEmpty());
  EXPECT_THAT(agent.Works<TrainWork>(), IsEmpty());
  EXPECT_EQ(Failures(), std::vector(3, proto::REJECT_REASON_POLICY));
}

TEST_F(MaskingTest, FourthAttemptAtARoundIsRefused) {
  GiveTask(1, 3);
  EXPECT_THAT(agent.Sent(Envelope::kKeyAdvert), SizeIs(3));
  agent.out = {};

  GiveTask(1, 4);

  EXPECT_THAT(agent.Sent(Envelope::kKeyAdvert), IsEmpty());
  EXPECT_EQ(Failures(), std::vector(3, proto::REJECT_REASON_POLICY));
}

// A private, masked job pays when the masked update is there, not while it waits for its masks.
TEST_F(PrivateMaskingTest, MaskedUpdatesAreChargedBeforeTheyCanBeOffered) {
  GiveTask(1);
  SecAggServer server = Server(1);
  ExchangeKeys(server);
  agent.Hear(DeliveryMessage(server));
  FinishTrainings();
  EXPECT_THAT(agent.out.persist, IsEmpty());

  FinishMaskings();

  ASSERT_THAT(agent.out.persist, SizeIs(3));
  for (const Charge& charge : agent.out.persist) {
    EXPECT_EQ(charge.unit, PrivacyUnit::kClient);
    EXPECT_EQ(charge.event.noise_multiplier, 4.0);
    EXPECT_EQ(charge.event.sampling.amplifying_rate(), 1.0);
    EXPECT_EQ(charge.event.steps, 1);
  }
  EXPECT_THAT(agent.PullAll(), SizeIs(3));
}

// What RoundWhoseUpdateWasMaskedIsNeverBegunAgain is within a process, the ledger is beyond it.
TEST_F(PrivateMaskingTest, RestartedProcessTakesNoPartInARoundThatItHasPaidFor) {
  GiveTask(1);
  SecAggServer server = Server(1);
  ExchangeKeys(server);
  agent.Hear(DeliveryMessage(server));
  FinishTrainings();
  FinishMaskings();
  SessionOptions options = PrivateOptions();
  for (const Charge& charge : agent.out.persist) options.spent.Add(charge);
  SessionHarness restarted(options);
  restarted.roster_size = 3;
  restarted.job = agent.job;
  restarted.BecomeActive();

  restarted.Task(1, kNodes);

  EXPECT_THAT(restarted.Sent(Envelope::kKeyAdvert), IsEmpty());
  EXPECT_THAT(restarted.Works<TrainWork>(), IsEmpty());
  const std::vector<Envelope> failures = restarted.Sent(Envelope::kNodeFailure);
  ASSERT_THAT(failures, SizeIs(3));
  for (const Envelope& sent : failures) {
    EXPECT_EQ(sent.node_failure().reason(), proto::REJECT_REASON_POLICY);
  }
  restarted.out = {};
  Envelope retry = restarted.TaskMessage(1, kNodes);
  retry.mutable_round_task()->set_attempt(2);
  restarted.Hear(retry, restarted.model_bytes());  // it will pay for itself
  EXPECT_THAT(restarted.Sent(Envelope::kKeyAdvert), SizeIs(3));
}

TEST_F(MaskingTest, NodeWithoutTheSessionSaysThatItCannotHelp) {
  SecAggServer server = RunToUploads();
  server.CloseUpdates(std::vector<NodeId>{NodeId("n-0"), NodeId("n-1"), NodeId("n-2")});
  SessionHarness restarted(MaskedOptions());
  restarted.roster_size = 3;
  restarted.job = agent.job;
  restarted.BecomeActive();

  restarted.Hear(SurvivorMessage(server));

  EXPECT_THAT(restarted.Sent(Envelope::kNodeFailure), SizeIs(3));
  EXPECT_THAT(restarted.Sent(Envelope::kSurvivorSignature), IsEmpty());
}

TEST_F(MaskingTest, JobThatSwitchesSecureAggregationOffIsRefusedAndNothingLeaves) {
  GiveTask(1);
  FinishTrainings();
  agent.job.secagg.enabled = false;
  Envelope welcome = agent.WelcomeMessage();
  welcome.mutable_welcome()->set_job_yaml("the job, without");
  welcome.mutable_welcome()->set_nonce(std::string(32, 'm'));

  agent.Hear(welcome);
  agent.Hear(agent.JoinResultMessage());
  agent.out = {};
  GiveTask(1);

  EXPECT_THAT(agent.PullAll(), IsEmpty());
  EXPECT_THAT(agent.Works<TrainWork>(), IsEmpty());
  EXPECT_EQ(Failures(), std::vector(3, proto::REJECT_REASON_POLICY));
}

}  // namespace
}  // namespace skerry
