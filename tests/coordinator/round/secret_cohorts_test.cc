// Cohorts by secret coins: drawn once, durable before anybody is asked, and skipped where no sum
// can be made of them.
#include <deque>

#include "tests/coordinator/round/masked_run.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Coins that a test has thrown beforehand, one list of positions a draw.
using Draws = std::shared_ptr<std::deque<std::vector<uint32_t>>>;

Draws Throw(std::deque<std::vector<uint32_t>> positions) {
  return std::make_shared<std::deque<std::vector<uint32_t>>>(std::move(positions));
}

RoundPolicy WithCoins(RoundPolicy policy, Draws draws, bool is_noise_filled_up = false) {
  const auto nodes = static_cast<size_t>(policy.round.nodes);
  policy.secret_cohorts = std::make_shared<const SecretCohortPolicy>(
      SecretCohortPolicy{.nodes = nodes,
                         .smallest = 2,
                         .largest = nodes - 1,
                         .able_min = 3,
                         .is_noise_filled_up = is_noise_filled_up,
                         .draw = [draws](uint32_t count) {
                           EXPECT_FALSE(draws->empty()) << "drawn more often than the test expects";
                           std::vector<uint32_t> drawn = draws->front();
                           draws->pop_front();
                           for (const uint32_t position : drawn) EXPECT_LT(position, count);
                           return drawn;
                         }});
  policy.budget = std::make_shared<const BudgetPolicy>(BudgetPolicy{
      .charges_max = 10,
      .is_noise_central = !is_noise_filled_up,
      .noise_multiplier = 2.0,
      .sampling_rate = 0.5,
      .epsilon_after = [](int64_t charges) { return 0.5 * static_cast<double>(charges); },
      .insider_epsilon_after = [](int64_t charges) { return 2.0 * static_cast<double>(charges); }});
  return policy;
}

// Done by the worker, which has kept the model.
CommitDone Kept(uint64_t round) {
  return {.round = RoundId(round),
          .status = absl::OkStatus(),
          .model_sha256 = std::string(64, '0'),
          .node_metrics = std::nullopt,
          .checkpoint = CheckpointFiles{},
          .aggregate = nullptr};
}

TEST(SecretCohortsTest, ThoseWhoseCoinsCameUpAreInvitedAndNobodyElse) {
  RoundDriver driver(WithCoins(SmallPolicy(), Throw({{0, 2}})), RosterOf(4));
  const Outbox out = driver.Start();

  ASSERT_THAT(Pick<RoundStarted>(out.persist), SizeIs(1));
  EXPECT_THAT(Pick<RoundStarted>(out.persist)[0].invited, ElementsAre(Node(1), Node(3)));
  EXPECT_THAT(driver.Join(2).send, IsEmpty());
  ASSERT_THAT(driver.Join(3).send, SizeIs(1));
}

// What a restart finds is the cohort, whatever the coins would say now.
TEST(SecretCohortsTest, ARestartGoesOnWithTheCohortThatIsDurable) {
  RestoredRun restored = FreshRun();
  restored.open_round = RoundStarted{
      .round = RoundId(1), .attempt = AttemptId(1), .invited = {Node(2), Node(3), Node(4)}};
  RoundDriver driver(WithCoins(SmallPolicy(), Throw({})), RosterOf(4), restored);

  driver.Start();

  EXPECT_THAT(driver.Join(1).send, IsEmpty());
  for (const int i : {2, 3, 4}) EXPECT_THAT(driver.Join(i).send, SizeIs(1));
}

// Another attempt has the same coins: the observer sees one model a round, of one cohort.
TEST(SecretCohortsTest, AnAttemptThatIsGivenUpIsNotDrawnAnew) {
  MaskedRun run(FreshRun(), WithCoins(MaskedPolicy(6), Throw({{0, 1, 2, 3, 4}}), true));
  run.StartWith({1, 2, 3, 4, 5});
  Outbox out;
  for (const int i : {1, 2, 3, 4, 5}) out = run.Advertise(i);
  run.TakeDelivery(run.ShareFor(out));
  for (const int i : {1, 2}) {
    out = run.driver.Fail(i, proto::REJECT_REASON_NOT_FINITE);
  }
  ASSERT_THAT(Pick<RoundStarted>(out.persist), SizeIs(1));
  EXPECT_EQ(Pick<RoundStarted>(out.persist)[0].attempt, AttemptId(2));
  EXPECT_THAT(Pick<RoundStarted>(out.persist)[0].invited,
              ElementsAre(Node(1), Node(2), Node(3), Node(4), Node(5)));
}

class SkippedCohortTest : public testing::TestWithParam<std::vector<uint32_t>> {};

TEST_P(SkippedCohortTest, IsChargedAndCommittedWithoutAnUpdate) {
  RoundDriver driver(WithCoins(SmallPolicy(), Throw({GetParam(), {0, 1, 3}})), RosterOf(4));
  Outbox out = driver.Start();

  EXPECT_THAT(out.send, IsEmpty());
  ASSERT_THAT(Pick<BudgetCharged>(out.persist), SizeIs(1));
  const BudgetCharged charge = Pick<BudgetCharged>(out.persist)[0];
  EXPECT_TRUE(charge.is_skipped);
  EXPECT_EQ(charge.survivors, 0u);
  EXPECT_EQ(charge.epsilon_spent, 0.5);
  EXPECT_EQ(charge.epsilon_insider, 2.0);
  ASSERT_THAT(Pick<CommitWork>(out.work), SizeIs(1));
  EXPECT_TRUE(Pick<CommitWork>(out.work)[0].is_skipped);
  EXPECT_FALSE(Pick<CommitWork>(out.work)[0].is_noise_due);
  for (const int i : {1, 2, 3, 4}) EXPECT_THAT(driver.Join(i).send, IsEmpty());

  out = driver.Do(Kept(1));

  ASSERT_THAT(Pick<RoundCommitted>(out.persist), SizeIs(1));
  EXPECT_TRUE(Pick<RoundCommitted>(out.persist)[0].is_skipped);
  EXPECT_EQ(Pick<RoundCommitted>(out.persist)[0].model_sha256, std::string(64, '0'));
  ASSERT_THAT(Pick<RoundStarted>(out.persist), SizeIs(1));  // and the next one
  EXPECT_THAT(Pick<RoundStarted>(out.persist)[0].invited, ElementsAre(Node(1), Node(2), Node(4)));
}

INSTANTIATE_TEST_SUITE_P(EmptyTooSmallAndTooLarge, SkippedCohortTest,
                         testing::Values(std::vector<uint32_t>{}, std::vector<uint32_t>{2},
                                         std::vector<uint32_t>{0, 1, 2, 3}));

TEST(SecretCohortsTest, ASkippedRoundIsSkippedOnceThroughARestart) {
  RestoredRun restored = FreshRun();
  restored.open_round = RoundStarted{
      .round = RoundId(1), .attempt = AttemptId(1), .invited = {Node(1), Node(2), Node(3)}};
  restored.charge_count = 1;
  restored.newest_charge = {RoundId(1), AttemptId(1)};
  restored.is_newest_skipped = true;  // too many of the three had failed
  RoundDriver driver(WithCoins(SmallPolicy(), Throw({})), RosterOf(4), restored);

  const Outbox out = driver.Start();

  EXPECT_THAT(Pick<BudgetCharged>(out.persist), IsEmpty());
  ASSERT_THAT(Pick<CommitWork>(out.work), SizeIs(1));
  EXPECT_TRUE(Pick<CommitWork>(out.work)[0].is_skipped);
  EXPECT_EQ(driver.machine.phase_name(), "committing");
}

// The cohort stays what it is, so a run that ended here would end here again whenever it is
// resumed.
TEST(SecretCohortsTest, ARoundThatCannotGetItsUpdatesIsSkipped) {
  RoundDriver driver(WithCoins(SmallPolicy(), Throw({{0, 1, 2}, {1, 2, 3}})), RosterOf(4));
  driver.Start();
  for (const int i : {1, 2, 3}) driver.Join(i);
  driver.Fail(1, proto::REJECT_REASON_DATA);
  Outbox out = driver.Fail(2, proto::REJECT_REASON_NOT_FINITE);

  ASSERT_THAT(Pick<CommitWork>(out.work), SizeIs(1));
  EXPECT_TRUE(Pick<CommitWork>(out.work)[0].is_skipped);
  // An update that was on its way is of no use any more, and must not get into the next sum.
  out = driver.Offer(3);
  EXPECT_THAT(Pick<ReceiveUpload>(out.uploads), IsEmpty());
  EXPECT_THAT(out.send, SizeIs(1));

  out = driver.Do(Kept(1));
  const RoundCommitted committed = Pick<RoundCommitted>(out.persist).at(0);
  EXPECT_TRUE(committed.is_skipped);
  for (const ParticipantRecord& one : committed.participants) {
    EXPECT_EQ(one.participation, Participation::kFailed) << one.node.value();
  }
}

// One refusal of the job leaves enough for other cohorts; with two the run would only pay.
TEST(SecretCohortsTest, ARunWhoseNodesRefuseTheJobFailsInsteadOfSkippingItsRounds) {
  RoundDriver driver(WithCoins(SmallPolicy(), Throw({{0, 1}, {0, 1}})), RosterOf(4));
  driver.Start();
  for (const int i : {1, 2}) driver.Join(i);
  const auto refuse = [&](int i) {
    return driver.Say(Peer(i), RoundDriver::FailureMessage(i, 0, proto::REJECT_REASON_POLICY));
  };
  Outbox out = refuse(1);
  ASSERT_THAT(Pick<CommitWork>(out.work), SizeIs(1));
  EXPECT_TRUE(Pick<CommitWork>(out.work)[0].is_skipped);
  refuse(2);

  out = driver.Do(Kept(1));

  ASSERT_THAT(Pick<RunEnded>(out.persist), SizeIs(1));
  EXPECT_EQ(Pick<RunEnded>(out.persist)[0].status, RunStatus::kFailed);
  EXPECT_THAT(Pick<RunEnded>(out.persist)[0].detail, HasSubstr("2 of 4 nodes can do this job"));
  for (const OutgoingMessage& message : out.send) {
    if (!message.envelope.has_job_end()) continue;
    EXPECT_EQ(message.envelope.job_end().detail(), "the run failed");
  }
}

TEST(SecretCohortsTest, TheRosterHasAsManyNodesAsTheBudgetWasCalculatedFor) {
  for (const int nodes : {3, 5}) {
    RoundDriver driver(WithCoins(SmallPolicy(), Throw({{0, 1}})), RosterOf(nodes));
    Outbox out = driver.Start();
    EXPECT_THAT(out.persist, IsEmpty());
    EXPECT_THAT(driver.machine.WaitingFor(driver.now), HasSubstr("cohorts are drawn from 4"));

    out = driver.Do(RosterChanged{RosterOf(4)});

    EXPECT_THAT(Pick<RoundStarted>(out.persist), SizeIs(1)) << nodes;
  }
}

// The survivors have put noise on their sum, and the coordinator fills it up.
TEST(SecretCohortsTest, ASumOfSharesIsFilledUpToTheSameNoise) {
  RoundPolicy policy = SmallPolicy();
  RoundDriver driver(WithCoins(policy, Throw({{0, 1}}), true), RosterOf(4));
  driver.Start();
  for (const int i : {1, 2}) driver.Join(i);
  driver.Deliver(1);

  const Outbox out = driver.Deliver(2);

  ASSERT_THAT(Pick<CommitWork>(out.work), SizeIs(1));
  EXPECT_TRUE(Pick<CommitWork>(out.work)[0].is_noise_due);
  EXPECT_EQ(Pick<CommitWork>(out.work)[0].survivor_count, 2u);
}

}  // namespace
}  // namespace skerry
