#include "coordinator/dashboard/run_view.h"

#include <gtest/gtest.h>

#include "tests/coordinator/dashboard/sample_view.h"

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

}  // namespace
}  // namespace skerry
