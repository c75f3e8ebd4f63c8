// The site's own privacy budget: charged with the upload and before it, never twice, never beyond.
// The ledger is the real one, on disk; a crash is a machine and a ledger that are gone.
#include "agent/session/budget.h"

#include <cmath>
#include <memory>

#include "common/privacy/accountant.h"
#include "common/privacy/ledger.h"
#include "tests/agent/session/session_harness.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using proto::Envelope;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr double kDelta = 1e-5;

// Each node protects its own records; ten rounds.
JobConfig PrivateJob() {
  JobConfig job = SmallJob(kParameters);
  job.data.id = "heart";
  job.round.count = 10;
  job.privacy = {.enabled = true,
                 .unit = PrivacyUnit::kRecord,
                 .epsilon = 2.0,
                 .noise_multiplier = 8.0,
                 .delta = kDelta,
                 .placement = NoisePlacement::kAgent,
                 .records = 1000,
                 .sampling = {.scheme = SamplingScheme::kPoisson, .rate = 1.0}};
  job.training.local_epochs = 2;  // two steps a round at rate 1
  return job;
}

// Epsilon of so many rounds of PrivateJob, from the closed form and the noise alone.
double EpsilonOfRounds(int64_t rounds) {
  const PrivacyEvent event{.noise_multiplier = 8.0, .steps = 2 * rounds};
  return *EpsilonFor({&event, 1}, kDelta, Accountant::kAnalytic);
}

// A total with room for so many rounds and not for one more.
double RoomFor(int64_t rounds) {
  return 0.5 * (EpsilonOfRounds(rounds) + EpsilonOfRounds(rounds + 1));
}

SessionOptions Options(int node_count, std::optional<double> epsilon_total) {
  SessionOptions options = HarnessOptions(node_count);
  options.workers = static_cast<size_t>(node_count);
  options.policy.epsilon_total = epsilon_total;
  return options;
}

// An agent process: the machine and the ledger it was started with.
class Site {
 public:
  Site(const std::string& ledger_path, SessionOptions options, JobConfig job = PrivateJob())
      : ledger(*Ledger::Open(ledger_path)),
        agent(WithSpent(std::move(options), ledger.spending())) {
    agent.job = std::move(job);
  }

  // Joined, with the worker's answer about the budget, and nothing left in the outbox.
  void BecomeActive() {
    agent.JoinAll();
    AnswerLoading();
    CheckPersisted();
    agent.out = {};
  }
  void AnswerLoading() {
    const LoadDataWork work = agent.LastWork<LoadDataWork>();
    DataLoaded loaded{.loading = work.loading, .problems = {}};
    for (const BudgetQuestion& question : work.budgets) {
      loaded.budgets.push_back(AnswerBudget(question));
    }
    agent.Feed(loaded);
  }
  // What the shell does first.
  void Persist() {
    ASSERT_OK(ledger.Append(agent.out.persist, 1));
    agent.out.persist.clear();
  }
  void CheckPersisted() { EXPECT_THAT(agent.out.persist, IsEmpty()); }

  // A round of one node, up to its upload; how many left.
  size_t RunRound(uint64_t round, uint32_t attempt = 1, const std::string& node = "n-0") {
    Envelope task = agent.TaskMessage(round, {node});
    task.mutable_round_task()->set_attempt(attempt);
    agent.Hear(task, agent.model_bytes());
    for (const TrainWork& work : agent.Works<TrainWork>()) agent.Finish(work);
    Persist();
    const size_t uploads = agent.PullAll().size();
    agent.Close(round);
    last_out = std::exchange(agent.out, {});
    return uploads;
  }
  std::vector<proto::NodeFailure> Failures() const {
    std::vector<proto::NodeFailure> failures;
    for (const Envelope& sent : agent.Sent(Envelope::kNodeFailure)) {
      failures.push_back(sent.node_failure());
    }
    return failures;
  }

  Ledger ledger;
  SessionHarness agent;
  SessionOutbox last_out;

 private:
  static SessionOptions WithSpent(SessionOptions options, const Spending& spent) {
    options.spent = spent;
    return options;
  }
};

class BudgetTest : public testing::Test {
 protected:
  TemporaryDirectory folder_;
  const std::string path_ = folder_ / "ledger.jsonl";
};

TEST_F(BudgetTest, AChargeIsInTheOutboxBeforeItsUploadMayLeave) {
  Site site(path_, Options(1, 10.0));
  site.BecomeActive();
  site.agent.Task(3, {"n-0"});
  EXPECT_THAT(site.agent.out.persist, IsEmpty());  // training alone releases nothing
  site.agent.out.send.clear();

  site.agent.Finish(site.agent.LastWork<TrainWork>());

  ASSERT_THAT(site.agent.out.persist, SizeIs(1));
  const Charge& charge = site.agent.out.persist[0];
  EXPECT_EQ(charge.data_id, "heart");
  EXPECT_EQ(charge.node, NodeId("n-0"));
  EXPECT_EQ(charge.run.value(), site.agent.run_id);
  EXPECT_EQ(charge.release.round, RoundId(3));
  EXPECT_EQ(charge.release.attempt, AttemptId(1));
  EXPECT_EQ(charge.unit, PrivacyUnit::kRecord);
  EXPECT_EQ(charge.event.noise_multiplier, 8.0);
  EXPECT_EQ(charge.event.steps, 2);
  EXPECT_EQ(charge.event.adjacency, Adjacency::kAddRemove);
  EXPECT_THAT(site.agent.Sent(Envelope::kUploadOffer), IsEmpty());
  EXPECT_THAT(site.agent.PullAll(), SizeIs(1));  // pulled after the outbox, so after the charge
}

TEST_F(BudgetTest, HostedNodesThatFinishTogetherAreChargedInOneBatch) {
  Site site(path_, Options(3, 10.0));
  site.BecomeActive();
  site.agent.Task(1, {"n-0", "n-1", "n-2"});

  for (const TrainWork& work : site.agent.Works<TrainWork>()) site.agent.Finish(work);

  EXPECT_THAT(site.agent.out.persist, SizeIs(3));
  EXPECT_THAT(site.agent.PullAll(), SizeIs(3));
}

TEST_F(BudgetTest, NodesWithOneHistoryShareOneQuestion) {
  {
    Site site(path_, Options(3, 10.0));
    site.BecomeActive();
    site.RunRound(1, 1, "n-1");
  }
  Site site(path_, Options(3, 10.0));
  site.agent.JoinAll();

  const std::vector<BudgetQuestion> questions = site.agent.LastWork<LoadDataWork>().budgets;

  ASSERT_THAT(questions, SizeIs(2));
  EXPECT_THAT(questions[0].nodes, ElementsAre(NodeId("n-0"), NodeId("n-2")));
  EXPECT_THAT(questions[1].nodes, ElementsAre(NodeId("n-1")));
}

TEST_F(BudgetTest, AJobWithoutPrivacyDoesNotTouchTheLedger) {
  Site site(path_, Options(1, 10.0), SmallJob(kParameters));
  site.agent.JoinAll();
  EXPECT_THAT(site.agent.LastWork<LoadDataWork>().budgets, IsEmpty());
  site.AnswerLoading();
  site.agent.Task(1, {"n-0"});

  site.agent.Finish(site.agent.LastWork<TrainWork>());

  EXPECT_THAT(site.agent.out.persist, IsEmpty());
  EXPECT_THAT(site.agent.PullAll(), SizeIs(1));
}

TEST_F(BudgetTest, WithoutATotalNothingIsAskedButAllIsCharged) {
  Site site(path_, Options(1, std::nullopt));
  site.agent.JoinAll();
  EXPECT_THAT(site.agent.LastWork<LoadDataWork>().budgets, IsEmpty());
  site.AnswerLoading();

  for (uint64_t round = 1; round <= 3; ++round) EXPECT_EQ(site.RunRound(round), 1u);

  EXPECT_EQ(site.ledger.spending().charge_count(), 3u);
}

TEST_F(BudgetTest, ANodeStopsWhenTheNextRoundWouldExceedTheTotal) {
  Site site(path_, Options(1, RoomFor(4)));
  site.agent.JoinAll();
  site.AnswerLoading();
  const std::vector<SessionEvent> warnings = site.agent.Events(SessionEventKind::kBudgetShort);
  ASSERT_THAT(warnings, SizeIs(1));
  EXPECT_EQ(warnings[0].count, 4u);
  site.agent.out = {};
  for (uint64_t round = 1; round <= 4; ++round) EXPECT_EQ(site.RunRound(round), 1u);

  site.agent.Task(5, {"n-0"});

  EXPECT_THAT(site.agent.Works<TrainWork>(), IsEmpty());
  ASSERT_THAT(site.Failures(), SizeIs(1));
  EXPECT_EQ(site.Failures()[0].reason(), proto::REJECT_REASON_POLICY);
  EXPECT_EQ(site.Failures()[0].round(), 0u);  // it takes no part in the rest of the job either
  const std::vector<SessionEvent> events = site.agent.Events(SessionEventKind::kNodeFailed);
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_THAT(events[0].detail, HasSubstr("policy.epsilon_total allows"));
  EXPECT_THAT(events[0].detail, HasSubstr("all jobs on data heart"));
  EXPECT_LE(EpsilonOfRounds(4), RoomFor(4));
  // A later task is answered in one message, without another line in the log.
  site.agent.out = {};
  site.agent.Task(6, {"n-0"});
  EXPECT_THAT(site.Failures(), SizeIs(1));
  EXPECT_THAT(site.agent.Events(SessionEventKind::kNodeFailed), IsEmpty());
  EXPECT_EQ(site.ledger.spending().charge_count(), 4u);
}

TEST_F(BudgetTest, AJobWhoseFirstRoundDoesNotFitIsRefused) {
  Site site(path_, Options(2, 0.5 * EpsilonOfRounds(1)));
  site.agent.JoinAll();

  site.AnswerLoading();

  ASSERT_THAT(site.Failures(), SizeIs(2));
  for (const proto::NodeFailure& failure : site.Failures()) {
    EXPECT_EQ(failure.reason(), proto::REJECT_REASON_POLICY);
    EXPECT_EQ(failure.round(), 0u);
  }
  site.agent.Task(1, {"n-0"});
  EXPECT_THAT(site.agent.Works<TrainWork>(), IsEmpty());
}

TEST_F(BudgetTest, ATaskThatCameBeforeTheAnswerIsRefusedWithIt) {
  Site site(path_, Options(1, 0.5 * EpsilonOfRounds(1)));
  site.agent.JoinAll();
  site.agent.Task(1, {"n-0"});

  site.AnswerLoading();

  EXPECT_THAT(site.agent.Works<TrainWork>(), IsEmpty());
  ASSERT_THAT(site.Failures(), SizeIs(1));
  EXPECT_EQ(site.Failures()[0].reason(), proto::REJECT_REASON_POLICY);
}

TEST_F(BudgetTest, OneJobStaysWithinItsOwnLimitWhateverItCallsItsEpsilon) {
  SessionOptions options = Options(1, std::nullopt);
  options.policy.epsilon_max = RoomFor(2);
  JobConfig job = PrivateJob();
  job.privacy.epsilon = 0.001;  // its noise says otherwise
  Site site(path_, options, job);
  site.BecomeActive();

  size_t uploads = 0;
  for (uint64_t round = 1; round <= 10; ++round) uploads += site.RunRound(round);

  EXPECT_EQ(uploads, 2u);
}

TEST_F(BudgetTest, AnotherAttemptIsChargedAgain) {
  Site site(path_, Options(1, RoomFor(3)));
  site.BecomeActive();
  EXPECT_EQ(site.RunRound(1), 1u);
  site.agent.LinkDownNow();
  site.agent.JoinAll();
  site.agent.out = {};
  EXPECT_EQ(site.RunRound(2, 1), 1u);
  EXPECT_EQ(site.RunRound(3, 2), 1u);

  EXPECT_EQ(site.RunRound(4), 0u);
  EXPECT_EQ(site.ledger.spending().charge_count(), 3u);
}

// The first update has left, and with the second the coordinator has two sums over almost the same
// nodes. They must not be one update under two noises, or two noises to average.
TEST_F(BudgetTest, ARetryAfterAnUpdateHasLeftIsTrainedAnewAndChargedAgain) {
  Site site(path_, Options(1, RoomFor(3)));
  site.BecomeActive();
  site.agent.Task(1, {"n-0"});
  site.agent.Finish(site.agent.LastWork<TrainWork>(), {1, 2, 3});
  site.Persist();
  const std::vector<BulkMessage> first = site.agent.PullAll();
  ASSERT_THAT(first, SizeIs(1));
  site.agent.out = {};
  Envelope retry = site.agent.TaskMessage(1, {"n-0"});
  retry.mutable_round_task()->set_attempt(2);

  site.agent.Hear(retry, site.agent.model_bytes());

  ASSERT_THAT(site.agent.Works<TrainWork>(), SizeIs(1));
  const TrainWork work = site.agent.LastWork<TrainWork>();
  EXPECT_EQ(work.attempt, AttemptId(2));  // from which its random numbers follow
  EXPECT_THAT(site.agent.PullAll(), IsEmpty()) << "the old update is not offered for it";
  site.agent.Finish(work, {4, 5, 6});
  ASSERT_THAT(site.agent.out.persist, SizeIs(1));
  EXPECT_EQ(site.agent.out.persist[0].release.round, RoundId(1));
  EXPECT_EQ(site.agent.out.persist[0].release.attempt, AttemptId(2));
  site.Persist();
  EXPECT_EQ(site.ledger.spending().charge_count(), 2u);
  const std::vector<BulkMessage> second = site.agent.PullAll();
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_NE(second[0].envelope.upload_offer().content_id(),
            first[0].envelope.upload_offer().content_id());
  EXPECT_THAT(second[0].raw->bytes(), testing::ElementsAre(4, 5, 6));
}

TEST_F(BudgetTest, AnUploadThatIsOfferedAgainIsNotChargedAgain) {
  Site site(path_, Options(1, 10.0));
  site.BecomeActive();
  site.agent.Task(1, {"n-0"});
  site.agent.Finish(site.agent.LastWork<TrainWork>(), {1, 2, 3});
  site.Persist();
  const std::vector<BulkMessage> first = site.agent.PullAll();
  site.agent.LinkDownNow();
  site.agent.JoinAll();

  site.agent.Task(1, {"n-0"});

  EXPECT_THAT(site.agent.out.persist, IsEmpty());
  const std::vector<BulkMessage> second = site.agent.PullAll();
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_EQ(second[0].envelope.upload_offer().content_id(),
            first[0].envelope.upload_offer().content_id());
}

// A coordinator that drops the upload and asks anew would get a second noisy look at the data.
TEST_F(BudgetTest, AnUploadThatWasDroppedIsNotMadeAgain) {
  Site site(path_, Options(1, 10.0));
  site.BecomeActive();
  site.agent.Task(1, {"n-0"});
  site.agent.Finish(site.agent.LastWork<TrainWork>());
  site.Persist();
  site.agent.PullAll();
  site.agent.Result(1, "n-0", proto::REJECT_REASON_ROUND_CLOSED);
  site.agent.out = {};

  site.agent.Task(1, {"n-0"});

  EXPECT_THAT(site.agent.Works<TrainWork>(), IsEmpty());
  ASSERT_THAT(site.Failures(), SizeIs(1));
  EXPECT_EQ(site.Failures()[0].reason(), proto::REJECT_REASON_POLICY);
  EXPECT_EQ(site.Failures()[0].round(), 1u);
}

TEST_F(BudgetTest, AJobWhoseNoiseIsNotWorkedOutIsRefused) {
  JobConfig job = PrivateJob();
  job.privacy.noise_multiplier.reset();
  Site site(path_, Options(1, 10.0), job);

  site.agent.JoinAll();

  EXPECT_THAT(site.agent.Works<LoadDataWork>(), IsEmpty());
  ASSERT_THAT(site.agent.Events(SessionEventKind::kJobRefused), SizeIs(1));
  EXPECT_THAT(site.agent.Events(SessionEventKind::kJobRefused)[0].detail,
              HasSubstr("privacy.noise_multiplier is missing"));
}

// ---- crashes -----------------------------------------------------------------------------------

TEST_F(BudgetTest, KilledBeforeTheChargeIsDurableNothingHasLeftAndTheRoundIsTrainedAnew) {
  {
    Site site(path_, Options(1, 10.0));
    site.BecomeActive();
    site.agent.Task(1, {"n-0"});
    site.agent.Finish(site.agent.LastWork<TrainWork>());
    ASSERT_THAT(site.agent.out.persist, SizeIs(1));
    EXPECT_THAT(site.agent.Sent(Envelope::kUploadOffer), IsEmpty());
  }  // killed with the outbox undrained
  Site site(path_, Options(1, 10.0));
  EXPECT_EQ(site.ledger.spending().charge_count(), 0u);
  site.BecomeActive();

  EXPECT_EQ(site.RunRound(1), 1u);
  EXPECT_EQ(site.ledger.spending().charge_count(), 1u);
}

// Whether some, all or none of the upload has left, it counts, and no other is made.
TEST_F(BudgetTest, KilledAfterTheChargeTheRoundIsSpentAndRefused) {
  {
    Site site(path_, Options(1, 10.0));
    site.BecomeActive();
    site.agent.Task(2, {"n-0"});
    site.agent.Finish(site.agent.LastWork<TrainWork>());
    site.Persist();
  }
  Site site(path_, Options(1, 10.0));
  EXPECT_EQ(site.ledger.spending().charge_count(), 1u);
  site.BecomeActive();
  for (const uint64_t round : {uint64_t{2}, uint64_t{1}}) {
    site.agent.LinkDownNow();
    site.agent.JoinAll();
    site.agent.out = {};

    site.agent.Task(round, {"n-0"});

    EXPECT_THAT(site.agent.Works<TrainWork>(), IsEmpty());
    ASSERT_THAT(site.Failures(), SizeIs(1));
    EXPECT_EQ(site.Failures()[0].reason(), proto::REJECT_REASON_POLICY);
    EXPECT_EQ(site.Failures()[0].round(), round);
  }
  site.agent.out = {};
  EXPECT_EQ(site.RunRound(3), 1u);  // the next round is not affected
  EXPECT_EQ(site.ledger.spending().charge_count(), 2u);
}

TEST_F(BudgetTest, ARestartedNodeGoesOnWithWhatIsLeft) {
  size_t uploads = 0;
  for (uint64_t round = 1; round <= 10; ++round) {
    Site site(path_, Options(1, RoomFor(6)));
    site.agent.JoinAll();
    site.AnswerLoading();
    site.agent.out = {};
    uploads += site.RunRound(round);
  }

  EXPECT_EQ(uploads, 6u);
}

// ---- many jobs ---------------------------------------------------------------------------------

// Ten coordinators, one after the other, each with another run and another noise.
TEST_F(BudgetTest, TenJobsOnOneDataIdCannotSpendMoreThanTheSitesTotal) {
  constexpr double kTotal = 8.0;
  size_t uploads = 0;
  std::vector<bool> took_part;
  for (int i = 0; i < 10; ++i) {
    JobConfig job = PrivateJob();
    job.privacy.noise_multiplier = 6.0 + 0.5 * i;
    if (i % 3 == 2) job.privacy.adjacency = Adjacency::kReplaceOne;
    Site site(path_, Options(1, kTotal), job);
    site.agent.run_id = std::string(32, static_cast<char>('a' + i));
    site.agent.JoinAll();
    site.AnswerLoading();
    site.agent.out = {};
    const size_t before = uploads;
    for (uint64_t round = 1; round <= 3; ++round) uploads += site.RunRound(round);
    took_part.push_back(uploads > before);
  }

  ASSERT_OK_AND_ASSIGN(const Ledger ledger, Ledger::Open(path_));
  EXPECT_EQ(ledger.spending().charge_count(), uploads);
  // Added up by hand: replacing a record moves a sum by up to 2 C, and one of the jobs promised
  // something for that relation. mu^2 of the releases together is the sum of steps (2 C / sigma)^2.
  const std::vector<SpentEvent> events = ledger.spending().EventsOf("heart", NodeId("n-0"));
  double mu_squared = 0.0;
  bool has_replacement = false;
  for (const SpentEvent& spent : events) {
    mu_squared += 4.0 * static_cast<double>(spent.event.steps) /
                  (spent.event.noise_multiplier * spent.event.noise_multiplier);
    has_replacement = has_replacement || spent.event.adjacency == Adjacency::kReplaceOne;
  }
  EXPECT_TRUE(has_replacement);
  const PrivacyEvent one{.noise_multiplier = 1.0 / std::sqrt(mu_squared), .steps = 1};
  EXPECT_LE(*EpsilonFor({&one, 1}, kDelta, Accountant::kAnalytic), kTotal * (1.0 + 1e-9));
  EXPECT_GT(uploads, 10u);
  EXPECT_FALSE(took_part.back());
}

TEST_F(BudgetTest, AnotherDataIdHasABudgetOfItsOwn) {
  for (const std::string data : {"heart", "lung"}) {
    JobConfig job = PrivateJob();
    job.data.id = data;
    Site site(path_, Options(1, RoomFor(3)), job);
    site.BecomeActive();
    size_t uploads = 0;
    for (uint64_t round = 1; round <= 10; ++round) uploads += site.RunRound(round);
    EXPECT_EQ(uploads, 3u) << data;
  }
}

}  // namespace
}  // namespace skerry
