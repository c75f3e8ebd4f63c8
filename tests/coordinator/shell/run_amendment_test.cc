// Going on with a changed job: which keys may change, and the arithmetic of the budget. Whole nodes
// are not sampled, so every epsilon here is a closed form.
#include "coordinator/shell/run_amendment.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/job_loader.h"
#include "common/privacy/accountant.h"
#include "common/privacy/privacy_plan.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;

constexpr char kJob[] = R"(version: 1
seed: 3
model: {input: [4], layers: [linear: {out: 3}, relu, linear: {out: 2}]}
data: {id: ward, dataset: npy, path: wards}
training: {local_epochs: 2, batch_size: 10}
round: {count: 10, nodes: 100, quorum: 90}
privacy: {enabled: true, unit: client, placement: distributed, epsilon: 2, delta: 1.0e-4,
          sampling: {scheme: fixed}}
secagg: {enabled: true, colluders: 10, min_survivors: 80, dropout_tolerance: 5}
)";

JobConfig Job(const std::vector<std::string>& overrides = {}) {
  absl::StatusOr<JobConfig> job = ParseJob(kJob, "job.yaml", overrides);
  EXPECT_OK(job.status());
  return *job;
}

// As it was when the run began.
JobConfig Recorded() {
  JobConfig job = Job();
  EXPECT_OK(CompletePrivacy(job));
  return job;
}

// The job that is asked for now.
JobConfig Asked(const std::vector<std::string>& overrides) {
  JobConfig job = Job(overrides);
  KeepNoise(Recorded(), job);
  return job;
}

RunHistory HistoryOf(int rounds, int charges) {
  RunHistory history;
  history.run_dir = "runs/1";
  history.rounds.resize(static_cast<size_t>(rounds));
  for (int i = 0; i < charges; ++i) {
    history.charges.push_back({.round = {},
                               .attempt = {},
                               .noise_multiplier = *Recorded().privacy.noise_multiplier,
                               .sampling_rate = 1,
                               .steps = 1});
  }
  return history;
}

std::string Changes(const RunHistory& history, const std::vector<std::string>& overrides) {
  const absl::StatusOr<std::string> changes =
      DescribeChanges(history, Recorded(), Asked(overrides));
  return changes.ok() ? *changes : "refused: " + std::string(changes.status().message());
}

TEST(RunAmendmentTest, TheNoiseOfTheRunStaysForAnotherNumberOfRounds) {
  const JobConfig asked = Asked({"round.count=40"});

  EXPECT_EQ(asked.privacy.noise_multiplier, Recorded().privacy.noise_multiplier);
  EXPECT_EQ(asked.privacy.epsilon, 2.0);
}

TEST(RunAmendmentTest, RoundsAndEpsilonMayChangeAndNothingElse) {
  const RunHistory history = HistoryOf(5, 5);

  EXPECT_EQ(Changes(history, {}), "");
  EXPECT_EQ(Changes(history, {"round.count=12"}), "round.count 10 -> 12");
  EXPECT_EQ(Changes(history, {"round.count=12", "privacy.epsilon=3"}),
            "privacy.epsilon 2 -> 3; round.count 10 -> 12");
  EXPECT_THAT(Changes(history, {"seed=4", "training.batch_size=11", "round.count=12"}),
              AllOf(HasSubstr("refused"), HasSubstr("another seed, training.batch_size;")));
  EXPECT_THAT(Changes(history, {"model.layers=[linear: {out: 4}, relu, linear: {out: 2}]"}),
              HasSubstr("another model.layers"));
  EXPECT_THAT(Changes(history, {"privacy.noise_multiplier=50"}),
              HasSubstr("another privacy.noise_multiplier"));
}

TEST(RunAmendmentTest, WhatIsDoneCannotBeTakenBack) {
  const RunHistory history = HistoryOf(5, 5);

  EXPECT_THAT(Changes(history, {"round.count=5"}), HasSubstr("round.count is 5, but 5 rounds"));
  EXPECT_EQ(Changes(history, {"round.count=6"}), "round.count 10 -> 6");
  EXPECT_THAT(Changes(history, {"privacy.epsilon=1"}), HasSubstr("cannot be lowered to 1"));
}

TEST(RunAmendmentTest, RoundsWithinTheBudgetGoOn) {
  EXPECT_OK(CheckRoundsLeft(HistoryOf(5, 5), Asked({"round.count=10"})));
  EXPECT_OK(CheckRoundsLeft(HistoryOf(5, 5), Asked({"round.count=8"})));
  EXPECT_OK(CheckRoundsLeft(HistoryOf(10, 10), Asked({"round.count=20", "privacy.epsilon=4"})));
}

TEST(RunAmendmentTest, MoreRoundsThanTheBudgetBearsAreRefusedWithTheArithmetic) {
  const double noise = *Recorded().privacy.noise_multiplier;
  const PrivacyEvent spent{.noise_multiplier = noise, .steps = 7};
  const PrivacyEvent total{.noise_multiplier = noise, .steps = 22};
  ASSERT_OK_AND_ASSIGN(const double spent_epsilon,
                       EpsilonFor({&spent, 1}, 1e-4, Accountant::kAnalytic));
  ASSERT_OK_AND_ASSIGN(const double total_epsilon,
                       EpsilonFor({&total, 1}, 1e-4, Accountant::kAnalytic));

  // Five rounds took seven charges, so of the ten that were planned three are left.
  const absl::Status status = CheckRoundsLeft(HistoryOf(5, 7), Asked({"round.count=20"}));

  EXPECT_THAT(status,
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(fmt::format("7 releases have spent epsilon {:.4g}; 15 more "
                                                   "rounds",
                                                   spent_epsilon)),
                             HasSubstr(fmt::format("would make it {:.4g}", total_epsilon)),
                             HasSubstr("privacy.epsilon is 2."),
                             HasSubstr("3 more fit: --set round.count=8"))));
}

TEST(RunAmendmentTest, ASpentBudgetHasRoomForNoRound) {
  EXPECT_THAT(CheckRoundsLeft(HistoryOf(9, 10), Asked({"round.count=11"})),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("Not one more fits")));
}

// Each charge was a round of secret coins, and so are those that come.
TEST(RunAmendmentTest, RoundsOfSecretCohortsAreCountedAsSuch) {
  const std::vector<std::string> secret = {"privacy.observer=public",
                                           "privacy.sampling={scheme: poisson, rate: 0.5}",
                                           "round.quorum=30", "secagg.min_survivors=30"};
  JobConfig recorded = Job(secret);
  ASSERT_OK(CompletePrivacy(recorded));
  std::vector<std::string> longer = secret;
  longer.push_back("round.count=20");
  JobConfig asked = Job(longer);
  KeepNoise(recorded, asked);
  RunHistory history = HistoryOf(5, 7);
  for (BudgetCharged& charge : history.charges) charge.sampling_rate = 0.5;
  ASSERT_OK_AND_ASSIGN(const double total, EpsilonAfter(recorded, 22));

  EXPECT_THAT(CheckRoundsLeft(history, asked),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(fmt::format("would make it {:.4g}", total)),
                             HasSubstr("3 more fit: --set round.count=8"))));
}

}  // namespace
}  // namespace skerry
