// How many releases fit, against counting one by one; and what adds up under which relation.
#include "common/privacy/allowance.h"

#include <cmath>

#include "common/privacy/accountant.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

SpentEvent Event(double noise_multiplier, double rate, int64_t steps,
                 Adjacency adjacency = Adjacency::kAddRemove) {
  return {.unit = PrivacyUnit::kRecord,
          .event = {.noise_multiplier = noise_multiplier,
                    .sampling = Sampling::Poisson(rate),
                    .steps = steps,
                    .adjacency = adjacency}};
}

// One more release at a time, until it does not fit.
Allowance CountOneByOne(const AllowanceQuestion& question, Accountant accountant) {
  for (int64_t count = 1; count <= question.count_max; ++count) {
    std::vector<SpentEvent> all = question.spent;
    all.push_back(question.release);
    std::vector<PrivacyEvent> events = UnderOneRelation(all);
    events.back().steps *= count;
    const double epsilon = *EpsilonFor(events, question.delta, accountant);
    if (epsilon > question.epsilon_max) return {.count = count - 1, .epsilon_beyond = epsilon};
  }
  return {.count = question.count_max};
}

TEST(AllowanceTest, CountsAsManyReleasesAsOneByOneDoes) {
  for (const double epsilon_max : {0.5, 1.0, 3.0, 7.7}) {
    for (const int64_t spent_steps : {0, 1, 10, 60}) {
      AllowanceQuestion question{.release = Event(12.0, 1.0, 2),
                                 .epsilon_max = epsilon_max,
                                 .delta = 1e-5,
                                 .count_max = 2000};
      if (spent_steps > 0) question.spent = {Event(9.0, 1.0, spent_steps)};
      ASSERT_OK_AND_ASSIGN(const Allowance allowance, CountReleases(question));

      const Allowance expected = CountOneByOne(question, Accountant::kAnalytic);
      EXPECT_EQ(allowance.count, expected.count);
      EXPECT_NEAR(allowance.epsilon_beyond, expected.epsilon_beyond, 1e-9);
    }
  }
}

TEST(AllowanceTest, SampledReleasesAreCountedByTheTightAccountant) {
  const AllowanceQuestion question{.spent = {Event(1.5, 0.02, 40), Event(30.0, 1.0, 1)},
                                   .release = Event(1.5, 0.02, 10),
                                   .epsilon_max = 0.75,
                                   .delta = 1e-5,
                                   .count_max = 30};

  ASSERT_OK_AND_ASSIGN(const Allowance allowance, CountReleases(question));

  EXPECT_EQ(allowance.count, CountOneByOne(question, Accountant::kPld).count);
  EXPECT_GT(allowance.count, 0);
  EXPECT_LT(allowance.count, question.count_max);
}

TEST(AllowanceTest, NothingFitsIntoABudgetThatIsSpent) {
  ASSERT_OK_AND_ASSIGN(const Allowance allowance, CountReleases({.spent = {Event(1.0, 1.0, 100)},
                                                                 .release = Event(100.0, 1.0, 1),
                                                                 .epsilon_max = 5.0,
                                                                 .delta = 1e-5,
                                                                 .count_max = 10}));

  EXPECT_EQ(allowance.count, 0);
  EXPECT_GT(allowance.epsilon_beyond, 5.0);
}

TEST(AllowanceTest, NoMoreThanAskedForAreCounted) {
  ASSERT_OK_AND_ASSIGN(
      const Allowance allowance,
      CountReleases(
          {.release = Event(100.0, 1.0, 1), .epsilon_max = 5.0, .delta = 1e-5, .count_max = 7}));

  EXPECT_EQ(allowance.count, 7);
  EXPECT_EQ(allowance.epsilon_beyond, 0.0);
}

TEST(AllowanceTest, MoreStepsThanAnAccountantTakesDoNotFit) {
  ASSERT_OK_AND_ASSIGN(const Allowance allowance,
                       CountReleases({.spent = {Event(1e6, 1.0, kStepsMax - 25)},
                                      .release = Event(1e6, 1.0, 10),
                                      .epsilon_max = 100.0,
                                      .delta = 1e-5,
                                      .count_max = 7}));

  EXPECT_EQ(allowance.count, 2);
  EXPECT_TRUE(std::isinf(allowance.epsilon_beyond));
}

TEST(AllowanceTest, AReleaseThatNobodyCanAccountForIsRefused) {
  EXPECT_THAT(
      CountReleases(
          {.release = Event(0.0, 1.0, 1), .epsilon_max = 1.0, .delta = 1e-5, .count_max = 1}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("noise multiplier")));
  EXPECT_THAT(
      CountReleases(
          {.release = Event(1.0, 1.0, 1), .epsilon_max = 1.0, .delta = 0.0, .count_max = 1}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("delta")));
}

TEST(SpendingTest, DifferentRelationsOrUnitsAddUpUnderTheStrongerOne) {
  const SpentEvent added = Event(1.0, 0.5, 1);
  const SpentEvent replaced = Event(1.0, 0.5, 1, Adjacency::kReplaceOne);
  SpentEvent client = added;
  client.unit = PrivacyUnit::kClient;
  const auto relations = [](const std::vector<SpentEvent>& spent) {
    std::vector<Adjacency> found;
    for (const PrivacyEvent& event : UnderOneRelation(spent)) found.push_back(event.adjacency);
    return found;
  };

  EXPECT_EQ(relations({added, added}), std::vector(2, Adjacency::kAddRemove));
  EXPECT_EQ(relations({client, client}), std::vector(2, Adjacency::kAddRemove));
  EXPECT_EQ(relations({added, replaced}), std::vector(2, Adjacency::kReplaceOne));
  EXPECT_EQ(relations({client, added}), std::vector(2, Adjacency::kReplaceOne));
  EXPECT_EQ(relations({replaced}), std::vector(1, Adjacency::kReplaceOne));
  EXPECT_THAT(relations({}), IsEmpty());
}

TEST(SpendingTest, DataSetsAndNodesHaveAccountsOfTheirOwn) {
  Spending spending;
  const auto charge = [](const std::string& data, const std::string& node, const std::string& run,
                         uint64_t round) {
    return Charge{.data_id = data,
                  .node = NodeId(node),
                  .run = RunId(run),
                  .release = {.round = RoundId(round), .attempt = AttemptId(1)},
                  .event = Event(2.0, 0.5, 4).event};
  };
  EXPECT_TRUE(spending.Add(charge("a", "n", "r1", 1)));
  EXPECT_TRUE(spending.Add(charge("a", "n", "r1", 2)));
  EXPECT_TRUE(spending.Add(charge("a", "n", "r2", 1)));
  EXPECT_TRUE(spending.Add(charge("a", "m", "r1", 1)));
  EXPECT_TRUE(spending.Add(charge("b", "n", "r1", 1)));

  EXPECT_FALSE(spending.Add(charge("a", "n", "r1", 2)));

  EXPECT_EQ(spending.charge_count(), 5u);
  const std::vector<SpentEvent> all = spending.EventsOf("a", NodeId("n"));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].event.steps, 12);
  EXPECT_EQ(spending.EventsOf("a", NodeId("n"), RunId("r1"))[0].event.steps, 8);
  EXPECT_EQ(spending.NewestOf("a", NodeId("n"), RunId("r1"))->round, RoundId(2));
  EXPECT_EQ(spending.NewestOf("a", NodeId("n"), RunId("r3")), std::nullopt);
  EXPECT_THAT(spending.EventsOf("c", NodeId("n")), IsEmpty());
}

}  // namespace
}  // namespace skerry
