#include "coordinator/dashboard/run_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/privacy/privacy_plan.h"
#include "coordinator/dashboard/closing_table.h"
#include "coordinator/dashboard/plain_progress.h"
#include "coordinator/dashboard/render.h"
#include "coordinator/dashboard/status_file.h"
#include "tests/coordinator/dashboard/sample_view.h"
#include "tests/coordinator/dashboard/secret_history.h"

namespace skerry {
namespace {

TEST(RoundProgressTest, TrainingCountsForMostOfANodesPart) {
  // (1 accepted + 0.95 uploading + 0.9 * 0.5 training + 0 invited) / 4
  EXPECT_DOUBLE_EQ(RoundProgress(SampleView()), 0.6);
}

TEST(RoundProgressTest, RoundWithoutNodesHasNoProgress) { EXPECT_EQ(RoundProgress({}), 0); }

TEST(EstimateTimeLeftTest, MeanOfTheLastRoundsTimesThoseToCome) {
  // 8 rounds at 12 s, of which 6 s have passed.
  EXPECT_EQ(EstimateTimeLeft(SampleView()), std::chrono::seconds(90));
}

TEST(EstimateTimeLeftTest, OnlyTheLastFiveRoundsCount) {
  RunView view = SampleView();
  view.rounds.assign(1, {1, 4, 4, 1000.0, 0, 0, {}});
  for (uint64_t round = 2; round <= 6; ++round) view.rounds.push_back({round, 4, 4, 2.0, 0, 0, {}});
  view.round_elapsed = {};

  EXPECT_EQ(EstimateTimeLeft(view), std::chrono::seconds(8));
}

TEST(EstimateTimeLeftTest, OverdueRoundLeavesNothingRatherThanLessThanNothing) {
  RunView view = SampleView();
  view.round_elapsed = std::chrono::hours(1);

  EXPECT_EQ(EstimateTimeLeft(view), Duration(0));
}

TEST(EstimateTimeLeftTest, NothingIsClaimedBeforeTheFirstRoundOrAfterTheEnd) {
  RunView fresh = SampleView();
  fresh.rounds.clear();
  RunView ended = SampleView();
  ended.status = RunStatus::kFailed;
  RunView complete = SampleView();
  complete.round_count = 2;

  EXPECT_EQ(EstimateTimeLeft(fresh), std::nullopt);
  EXPECT_EQ(EstimateTimeLeft(ended), std::nullopt);
  EXPECT_EQ(EstimateTimeLeft(complete), std::nullopt);
}

TEST(HeadlineMetricTest, BestKnownMetricNamesTheQuality) {
  RunView view;
  EXPECT_EQ(HeadlineMetric(view), "");
  view.rounds = {{1, 1, 1, 1, 0, 0, {{"loss", 1.0}, {"mae", 2.0}}}};
  EXPECT_EQ(HeadlineMetric(view), "mae");
  view.rounds[0].metrics["accuracy"] = 0.5;
  EXPECT_EQ(HeadlineMetric(view), "accuracy");
}

TEST(TrendOfTest, RoundsWithoutTheMetricAreSkipped) {
  RunView view = SampleView();
  view.rounds.push_back({3, 4, 4, 1, 0, 0, {}});

  const auto trend = TrendOf(view, "accuracy");

  ASSERT_TRUE(trend.has_value());
  EXPECT_EQ(trend->newest, 0.75);
  EXPECT_EQ(trend->previous, 0.5);
  EXPECT_EQ(TrendOf(view, "auc"), std::nullopt);
}

TEST(ViewOfTest, HistoryIsSummedUp) {
  RunHistory history;
  history.run_dir = "runs/x";
  history.info.job_name = "job";
  history.info.rounds_planned = 5;
  history.status = RunStatus::kInterrupted;
  for (uint64_t i = 1; i <= 2; ++i) {
    RoundHistory& round = history.rounds.emplace_back();
    round.committed.round = RoundId(i);
    round.committed.model_sha256 = std::string(3, static_cast<char>('0' + i));
    round.committed.participants = {{NodeId("a"), Participation::kAccepted, "", std::nullopt},
                                    {NodeId("b"), Participation::kCut, "slow", std::nullopt}};
    round.traffic = {RoundId(i), 100 * i, 10 * i, std::chrono::seconds(i)};
  }
  history.evaluations[2] = {ModelVersion(2), 10, {{"accuracy", 0.5}}};
  history.open_round = RoundStarted{RoundId(3), AttemptId(1), {NodeId("a"), NodeId("c")}};

  const RunView view = ViewOf(history);

  EXPECT_EQ(view.job_name, "job");
  EXPECT_EQ(view.status, RunStatus::kInterrupted);
  EXPECT_EQ(view.round, 3u);
  EXPECT_EQ(view.round_count, 5u);
  EXPECT_EQ(view.node_count, 3u);
  EXPECT_EQ(view.bytes_sent, 300u);
  EXPECT_EQ(view.bytes_received, 30u);
  EXPECT_EQ(view.elapsed, std::chrono::seconds(3));
  EXPECT_EQ(view.model_sha256, "222");
  ASSERT_EQ(view.rounds.size(), 2u);
  EXPECT_EQ(view.rounds[0].accepted, 1u);
  EXPECT_EQ(view.rounds[0].invited, 2u);
  EXPECT_TRUE(view.rounds[0].metrics.empty());
  EXPECT_EQ(view.rounds[1].metrics.at("accuracy"), 0.5);
}

// ---- secret cohorts ----------------------------------------------------------------------------

RunView LiveSecretView() {
  RunView view = SampleView();
  AddNode(view, "site-a", Participation::kTraining, 300, "site-a is slow");
  view.events.push_back({1, "node joined late", "site-a", "first seen in round 3"});
  view.waiting_for = "waiting for 2 more of site-a (training, 30 %)";
  view.privacy = PrivacyView{.epsilon_max = 4, .epsilon_spent = 1, .noise_realised = 2.5};
  HideCohorts(view);
  return view;
}

TEST(HideCohortsTest, NoDisplayNamesANodeOrCountsACohort) {
  const RunView live = LiveSecretView();
  const RunView ended = ViewOf(SecretHistory());
  for (const RunView* view : {&live, &ended}) {
    std::string all = ViewToJson(*view);
    for (const size_t width : {size_t{40}, size_t{80}, size_t{100}}) {
      all += Render(*view, {.width = width, .height = 40, .has_colour = false});
    }
    all += ClosingTable(*view, {.has_colour = false});
    PlainProgress progress;
    progress.Next({});
    for (const std::string& line : progress.Next(*view)) all += line + "\n";

    for (const char* word : {"site-", "node-", "updates", "4/4", "of 4 nodes", "123", "456", "MB",
                             "were drawn", "77", "quorum 3"}) {
      EXPECT_THAT(all, testing::Not(testing::HasSubstr(word))) << word;
    }
    for (size_t i = 0; i < kParticipationCount; ++i) EXPECT_EQ(view->participation_counts[i], 0u);
    EXPECT_FALSE(view->privacy->noise_realised.has_value());
  }
}

TEST(HideCohortsTest, WhatIsAboutTheRunStays) {
  const RunView view = ViewOf(SecretHistory());

  EXPECT_EQ(view.node_count, 12u);
  ASSERT_EQ(view.rounds.size(), 3u);
  EXPECT_TRUE(view.rounds[1].is_skipped);
  EXPECT_EQ(view.rounds[2].metrics.at("accuracy"), 0.5);
  ASSERT_EQ(view.events.size(), 1u);
  EXPECT_EQ(view.events[0].kind, "round skipped");
  EXPECT_EQ(view.privacy->epsilon_spent, 2.0);
  EXPECT_EQ(view.privacy->epsilon_insider, 6.0);  // as if a node had been in all four
  EXPECT_EQ(view.privacy->skipped_count, 1u);
  EXPECT_THAT(ClosingTable(view, {.has_colour = false}), testing::HasSubstr("skipped 2"));
  EXPECT_THAT(view.status_detail, testing::HasSubstr("--insider"));
}

// site-a was drawn for rounds 1, 3 and 4; what was skipped has told nothing of it.
TEST(HideCohortsTest, AnInsiderSeesTheCohortAndTheEpsilonOfWhoWasDrawnMostOften) {
  const RunHistory history = SecretHistory();
  const RunView view = ViewOf(history, Audience::kInsiders);

  EXPECT_FALSE(view.hides_cohorts);
  EXPECT_EQ(view.rounds[0].invited, 2u);
  ASSERT_EQ(view.nodes.size(), 2u);
  EXPECT_EQ(view.nodes[0].node, "site-a");
  EXPECT_THAT(view.status_detail, testing::HasSubstr("site-b is away"));
  EXPECT_EQ(view.privacy->epsilon_insider, InsiderEpsilonOf(*history.job, 3));
  EXPECT_EQ(view.events.size(), 3u);
}

// Everybody takes part in a rehearsal, which costs nothing.
TEST(HideCohortsTest, ARehearsalHidesNothing) {
  RunHistory history = SecretHistory();
  history.job->is_rehearsal = true;

  EXPECT_FALSE(ViewOf(history).hides_cohorts);
  EXPECT_FALSE(ViewOf(history).privacy.has_value());
}

TEST(HideCohortsTest, ARunWhoseCohortsAreKnownIsShownAsItIs) {
  RunHistory history = SecretHistory();
  history.job->privacy.observer = PrivacyObserver::kInsider;

  const RunView view = ViewOf(history);

  EXPECT_FALSE(view.hides_cohorts);
  EXPECT_EQ(view.rounds[0].invited, 2u);
  EXPECT_EQ(view.privacy->noise_realised, 2.0);
}

}  // namespace
}  // namespace skerry
