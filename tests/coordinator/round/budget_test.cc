// The privacy budget of a run: charged before anything can be opened, once, and ended cleanly.
#include "coordinator/round/budget.h"

#include "tests/coordinator/round/masked_run.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

const std::vector<int> kAll = {1, 2, 3, 4, 5, 6};

BudgetPolicy Budget(int64_t charges_max) {
  return {.charges_max = charges_max,
          .noise_multiplier = 2.0,
          .sampling_rate = 0.1,
          .colluders = 1,
          .noisy_survivors = 4,
          .epsilon_after = [](int64_t charges) { return 0.5 * static_cast<double>(charges); }};
}

RoundPolicy WithBudget(RoundPolicy policy, BudgetPolicy budget) {
  policy.budget = std::make_shared<const BudgetPolicy>(std::move(budget));
  return policy;
}

TEST(BudgetTest, AnOpeningIsChargedInTheTransactionThatMakesItPossible) {
  MaskedRun run(FreshRun(), WithBudget(MaskedPolicy(6), Budget(3)));
  run.RunUpTo(kAll, kAll);
  const Outbox sealed = run.Seal();
  EXPECT_THAT(Pick<BudgetCharged>(sealed.persist), SizeIs(0));

  const Outbox out = run.Sign(sealed);

  ASSERT_THAT(Pick<BudgetCharged>(out.persist), SizeIs(1));
  const BudgetCharged charge = Pick<BudgetCharged>(out.persist)[0];
  EXPECT_EQ(charge.round, RoundId(1));
  EXPECT_EQ(charge.survivors, 6u);
  EXPECT_EQ(charge.epsilon_spent, 0.5);
  EXPECT_EQ(charge.noise_multiplier, 2.0);
  EXPECT_DOUBLE_EQ(charge.noise_realised, 2.0 * std::sqrt(5.0 / 4.0));
  ASSERT_THAT(Pick<SessionStored>(out.persist), SizeIs(1));
  EXPECT_TRUE(Pick<SessionStored>(out.persist)[0].state.has_unmask_request());
}

TEST(BudgetTest, ARestartAtTheQuestionDoesNotChargeAgain) {
  MaskedRun run(FreshRun(), WithBudget(MaskedPolicy(6), Budget(3)));
  run.RunUpTo(kAll, kAll);
  const Outbox asked = run.Sign(run.Seal());
  RestoredRun restored = FreshRun();
  restored.open_round =
      RoundStarted{.round = RoundId(1), .attempt = AttemptId(1), .invited = RosterOf(6)};
  restored.session = Pick<SessionStored>(asked.persist)[0].state;
  restored.charge_count = 1;
  MaskedRun again(restored, WithBudget(MaskedPolicy(6), Budget(3)));
  again.clients = std::move(run.clients);
  const Outbox started = again.driver.Start();
  EXPECT_THAT(Pick<BudgetCharged>(started.persist), SizeIs(0));
  for (const int i : kAll) {
    EXPECT_THAT(Pick<BudgetCharged>(again.Unmask(again.driver.Join(i)).persist), SizeIs(0));
  }

  EXPECT_EQ(again.phase(), "committing");
  EXPECT_EQ(again.driver.machine.data().charge_count, 1);
}

TEST(BudgetTest, TheRunEndsCleanlyWhenTheNextReleaseIsNotCovered) {
  RestoredRun restored = FreshRun();
  restored.last_committed = RoundId(1);
  restored.charge_count = 2;  // an attempt was opened in vain
  MaskedRun run(restored, WithBudget(MaskedPolicy(6), Budget(2)));

  Outbox out = run.driver.Start();

  ASSERT_THAT(Pick<EvaluateWork>(out.work), SizeIs(1));  // the last model is worth one
  out = run.driver.Do(EvaluationDone{.result = {.version = ModelVersion(1), .metrics = {}},
                                     .status = absl::OkStatus()});
  ASSERT_THAT(Pick<RunEnded>(out.persist), SizeIs(1));
  EXPECT_EQ(Pick<RunEnded>(out.persist)[0].status, RunStatus::kBudgetExhausted);
  EXPECT_THAT(Pick<RunEnded>(out.persist)[0].detail, HasSubstr("spent after 1 of 3 rounds"));
}

TEST(BudgetTest, UpdatesThatAreNoisyThemselvesAreChargedWithTheTask) {
  BudgetPolicy budget = Budget(2);
  budget.is_charged_at_start = true;
  RoundDriver driver(WithBudget(SmallPolicy(), budget), RosterOf(4));

  const Outbox out = driver.Start();

  ASSERT_THAT(Pick<BudgetCharged>(out.persist), SizeIs(1));
  ASSERT_THAT(Pick<RoundStarted>(out.persist), SizeIs(1));
  EXPECT_EQ(driver.machine.data().charge_count, 1);
}

BudgetPolicy CentralBudget() {
  BudgetPolicy budget = Budget(3);
  budget.is_noise_central = true;
  budget.noisy_survivors = 1;
  return budget;
}

TEST(BudgetTest, NoiseOfTheCoordinatorIsChargedWithTheOrderToAddIt) {
  RoundDriver driver(WithBudget(SmallPolicy(), CentralBudget()), RosterOf(4));
  driver.Start();
  for (const int i : {1, 2, 3}) driver.Join(i);
  EXPECT_EQ(driver.machine.data().charge_count, 0);
  for (const int i : {1, 2, 3}) driver.Deliver(i);
  driver.now += std::chrono::seconds(31);

  const Outbox out = driver.Deadline();  // node 4 was never seen

  ASSERT_THAT(Pick<BudgetCharged>(out.persist), SizeIs(1));
  const BudgetCharged charge = Pick<BudgetCharged>(out.persist)[0];
  EXPECT_EQ(charge.survivors, 3u);
  EXPECT_EQ(charge.noise_realised, 2.0);  // whoever is in the sum
  ASSERT_THAT(Pick<CommitWork>(out.work), SizeIs(1));
  const CommitWork work = Pick<CommitWork>(out.work)[0];
  EXPECT_TRUE(work.is_noise_due);
  EXPECT_EQ(work.attempt, AttemptId(1));
  EXPECT_THAT(work.survivors, testing::ElementsAre(Node(1), Node(2), Node(3)));
}

// Killed after the charge and before the noise was durable: the same attempt, charged once.
TEST(BudgetTest, AnAttemptThatIsCollectedAgainIsNotChargedAgain) {
  RestoredRun restored = FreshRun();
  restored.open_round =
      RoundStarted{.round = RoundId(1), .attempt = AttemptId(1), .invited = RosterOf(4)};
  restored.charge_count = 1;
  restored.newest_charge = {RoundId(1), AttemptId(1)};
  RoundDriver driver(WithBudget(SmallPolicy(), CentralBudget()), RosterOf(4), restored);
  driver.Start();
  for (const int i : {1, 2, 3, 4}) driver.Join(i);
  Outbox out;
  for (const int i : {1, 2, 3, 4}) out = driver.Deliver(i);

  EXPECT_THAT(Pick<BudgetCharged>(out.persist), SizeIs(0));
  ASSERT_THAT(Pick<CommitWork>(out.work), SizeIs(1));
  EXPECT_TRUE(Pick<CommitWork>(out.work)[0].is_noise_due);
  EXPECT_EQ(driver.machine.data().charge_count, 1);
}

// Killed after the noise was durable: that sum is committed, without asking anybody.
TEST(BudgetTest, ASumThatHasItsNoiseIsCommittedAsItIs) {
  RestoredRun restored = FreshRun();
  restored.open_round =
      RoundStarted{.round = RoundId(1), .attempt = AttemptId(1), .invited = RosterOf(4)};
  restored.charge_count = 1;
  restored.newest_charge = {RoundId(1), AttemptId(1)};
  restored.noisy_survivors = std::vector<NodeId>{Node(1), Node(3)};
  RoundDriver driver(WithBudget(SmallPolicy(), CentralBudget()), RosterOf(4), restored);

  Outbox out = driver.Start();

  ASSERT_THAT(Pick<CommitWork>(out.work), SizeIs(1));
  const CommitWork work = Pick<CommitWork>(out.work)[0];
  EXPECT_FALSE(work.is_noise_due);
  EXPECT_EQ(work.survivor_count, 2u);
  EXPECT_THAT(Pick<BudgetCharged>(out.persist), SizeIs(0));
  for (const int i : {1, 2, 3, 4}) EXPECT_THAT(driver.Join(i).send, SizeIs(0));  // no task
  out = driver.Commit();
  const std::vector<RoundCommitted> committed = Pick<RoundCommitted>(out.persist);
  ASSERT_THAT(committed, SizeIs(1));
  std::vector<NodeId> accepted;
  for (const ParticipantRecord& one : committed[0].participants) {
    if (one.participation == Participation::kAccepted) accepted.push_back(one.node);
  }
  EXPECT_THAT(accepted, testing::ElementsAre(Node(1), Node(3)));
}

// With masks as well: the charge was made with the question for the shares.
TEST(BudgetTest, AMaskedSumIsChargedOnceAndGetsItsNoiseAfterTheMasksAreOff) {
  MaskedRun run(FreshRun(), WithBudget(MaskedPolicy(6), CentralBudget()));
  run.RunUpTo(kAll, kAll);
  const Outbox asked = run.Sign(run.Seal());
  EXPECT_THAT(Pick<BudgetCharged>(asked.persist), SizeIs(1));

  const Outbox out = run.Unmask(asked);

  EXPECT_THAT(Pick<BudgetCharged>(out.persist), SizeIs(0));
  ASSERT_THAT(Pick<CommitWork>(out.work), SizeIs(1));
  EXPECT_TRUE(Pick<CommitWork>(out.work)[0].is_noise_due);
  EXPECT_NE(Pick<CommitWork>(out.work)[0].unmask, nullptr);
}

// The clip norm is state like the model: a round's tasks have the one that the round before left.
TEST(BudgetTest, AnAdaptiveClipNormTravelsWithTheTaskAndChangesWithTheCommit) {
  RestoredRun restored = FreshRun();
  restored.clip_norm = 0.25;
  RoundDriver driver(SmallPolicy(), RosterOf(4), restored);
  driver.Start();
  for (const int i : {1, 2, 3, 4}) {
    const Outbox out = driver.Join(i);
    ASSERT_THAT(out.send, SizeIs(1));
    EXPECT_EQ(out.send[0].envelope.round_task().clip_norm(), 0.25);
  }
  for (const int i : {1, 2, 3, 4}) driver.Deliver(i);
  CommitDone done;
  done.round = RoundId(1);
  done.model_sha256 = std::string(64, '1');
  done.clip_norm = 0.5;

  const Outbox out = driver.Do(done);

  int tasks = 0;
  for (const OutgoingMessage& message : out.send) {
    if (!message.envelope.has_round_task()) continue;
    ++tasks;
    EXPECT_EQ(message.envelope.round_task().clip_norm(), 0.5);
  }
  EXPECT_EQ(tasks, 4);
}

// Noise is in proportion to the clip norm, so a node that was told another one must not share masks
// with the others: it is part of what a session is about.
TEST(BudgetTest, AnAdaptiveClipNormIsPartOfTheSession) {
  RestoredRun restored = FreshRun();
  restored.clip_norm = 0.25;
  MaskedRun run(restored);
  run.StartWith({1});

  EXPECT_EQ(run.driver.machine.data().secagg->params().clip_norm, 0.25);
  SessionParams params = run.Params(1);
  const proto::KeyAdvert advert;
  const auto without = AdvertTranscript(params, advert).Digest();
  params.clip_norm = 0.25;
  const auto with = AdvertTranscript(params, advert).Digest();
  params.clip_norm = 0.2500001;
  EXPECT_NE(with, without);
  EXPECT_NE(AdvertTranscript(params, advert).Digest(), with);
}

TEST(BudgetTest, WithoutPrivacyNothingIsCharged) {
  MaskedRun run;
  run.RunUpTo(kAll, kAll);

  EXPECT_THAT(Pick<BudgetCharged>(run.Sign(run.Seal()).persist), SizeIs(0));
}

}  // namespace
}  // namespace skerry
