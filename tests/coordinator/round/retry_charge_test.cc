// A retry of an attempt whose sum was opened, or could have been, shows other noise on other
// gradients of almost the same nodes: it is another release, and is charged like one.
#include "tests/coordinator/round/masked_run.h"

namespace skerry {
namespace {

using testing::SizeIs;

const std::vector<int> kAll = {1, 2, 3, 4, 5, 6};

RoundPolicy WithBudget(int64_t charges_max) {
  RoundPolicy policy = MaskedPolicy(6);
  policy.budget = std::make_shared<const BudgetPolicy>(BudgetPolicy{
      .charges_max = charges_max,
      .noise_multiplier = 2.0,
      .noisy_survivors = 4,
      .epsilon_after = [](int64_t charges) { return 0.5 * static_cast<double>(charges); }});
  return policy;
}

// Opens the first attempt in vain: the shares do not fit. What the machine does then.
Outbox OpenInVain(MaskedRun& run) {
  run.RunUpTo(kAll, kAll);
  run.Unmask(run.Sign(run.Seal()));
  CommitDone done;
  done.round = RoundId(1);
  done.is_unmasking_broken = true;
  done.status = absl::FailedPreconditionError("the shares do not fit together");
  return run.driver.Do(done);
}

TEST(RetryChargeTest, ARetryOfAnAttemptThatWasOpenedIsTrainedAnewAndChargedAgain) {
  MaskedRun run(FreshRun(), WithBudget(5));
  const Outbox retried = OpenInVain(run);
  ASSERT_EQ(run.driver.machine.data().attempt, AttemptId(2));
  size_t tasks = 0;
  for (const OutgoingMessage& message : retried.send) {
    if (!message.envelope.has_round_task()) continue;
    ++tasks;
    EXPECT_EQ(message.envelope.round_task().attempt(), 2u);  // other training, other noise
  }
  EXPECT_EQ(tasks, 6u);
  Outbox out;
  for (const int i : kAll) out = run.Advertise(i, 2);
  run.TakeDelivery(run.ShareFor(out));
  for (const int i : kAll) {
    proto::Envelope offer = RoundDriver::OfferMessage(i, 1, 8);
    offer.mutable_upload_offer()->set_attempt(2);
    run.driver.Say(Peer(i), offer);
    run.driver.Complete(i, 8);
  }

  out = run.Sign(run.Seal());

  ASSERT_THAT(Pick<BudgetCharged>(out.persist), SizeIs(1));
  const BudgetCharged charge = Pick<BudgetCharged>(out.persist)[0];
  EXPECT_EQ(charge.round, RoundId(1));
  EXPECT_EQ(charge.attempt, AttemptId(2));
  EXPECT_EQ(charge.epsilon_spent, 1.0);  // the first one stays charged
  EXPECT_EQ(run.driver.machine.data().charge_count, 2);
}

TEST(RetryChargeTest, ARetryThatTheBudgetDoesNotBearIsNotBegun) {
  MaskedRun run(FreshRun(), WithBudget(1));

  const Outbox out = OpenInVain(run);

  EXPECT_THAT(Pick<RoundStarted>(out.persist), SizeIs(0));
  for (const OutgoingMessage& message : out.send) EXPECT_FALSE(message.envelope.has_round_task());
}

}  // namespace
}  // namespace skerry
