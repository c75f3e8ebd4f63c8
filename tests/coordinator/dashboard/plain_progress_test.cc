#include "coordinator/dashboard/plain_progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/dashboard/sample_view.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

RunView Fresh() {
  RunView view = SampleView();
  view.rounds.clear();
  view.events.clear();
  view.round = 1;
  return view;
}

TEST(PlainProgressTest, StartAndPhaseAreToldOnce) {
  PlainProgress progress;

  EXPECT_THAT(progress.Next(Fresh()),
              ElementsAre("fashion_cnn: 10 rounds, 4 nodes, run directory runs/fashion",
                          "round 1 of 10: training, 1 of 4 updates"));
  EXPECT_THAT(progress.Next(Fresh()), IsEmpty());
}

TEST(PlainProgressTest, CommittedRoundsEventsAndPhasesAreToldAsTheyCome) {
  PlainProgress progress;
  progress.Next(Fresh());
  RunView view = SampleView();
  view.rounds.resize(1);
  view.events = {{1, "node left", "node-3", "connection lost"}};
  view.round = 2;

  EXPECT_THAT(
      progress.Next(view),
      ElementsAre("round 1: node left node-3: connection lost",
                  "round 1 of 10 done: accuracy 50.00 %, loss 1.5000, 4 of 4 nodes, 10 s, 1.0 MB "
                  "down, 2.0 MB up",
                  "round 2 of 10: training, 1 of 4 updates"));
  EXPECT_THAT(progress.Next(view), IsEmpty());
}

TEST(PlainProgressTest, EventsAreToldOnceAlsoWhenOlderOnesAreDroppedFromTheView) {
  PlainProgress progress;
  RunView view = Fresh();
  view.events = {{1, "node left", "a", ""}, {1, "node left", "b", ""}};
  progress.Next(view);
  view.events.push_back({1, "node left", "c", ""});
  progress.Next(view);

  view.events = {{1, "node left", "c", ""}, {1, "node left", "d", ""}};
  view.events_dropped = 2;

  EXPECT_THAT(progress.Next(view), ElementsAre("round 1: node left d"));
}

TEST(PlainProgressTest, ContinuedRunDoesNotTellItsPastAgain) {
  PlainProgress progress;

  EXPECT_THAT(progress.Next(SampleView()),
              ElementsAre("fashion_cnn: 10 rounds, 4 nodes, run directory runs/fashion",
                          "round 3 of 10: training, 1 of 4 updates"));
}

TEST(PlainProgressTest, WaitingIsToldEveryHalfMinuteHoweverOftenItsTextChanges) {
  PlainProgress progress;
  RunView view = Fresh();
  view.elapsed = {};
  progress.Next(view);
  size_t told = 0;
  for (int second = 1; second <= 90; ++second) {
    view.elapsed = std::chrono::seconds(second);
    view.waiting_for = "waiting for node-3, silent for " + std::to_string(second) + " s";

    told += progress.Next(view).size();
  }
  EXPECT_EQ(told, 3u);
}

TEST(PlainProgressTest, LinesHoldNoLineEndsOfPeers) {
  PlainProgress progress;
  progress.Next(Fresh());
  RunView view = Fresh();
  view.events = {{1, "node failed", "x", "first\nround 9 of 9 done"}};

  EXPECT_THAT(progress.Next(view), ElementsAre("round 1: node failed x: first round 9 of 9 done"));
}

TEST(PlainProgressTest, ARoundOfAPrivateRunSaysWhatIsSpent) {
  PlainProgress progress;
  progress.Next(Fresh());
  RunView view = SampleView();
  view.events.clear();
  view.privacy = PrivacyView{.epsilon_max = 2, .epsilon_spent = 0.75};
  view.hides_cohorts = true;
  view.rounds[1].is_skipped = true;

  EXPECT_THAT(progress.Next(view),
              ElementsAre("round 1 of 10 done: accuracy 50.00 %, loss 1.5000, cohort secret",
                          "round 2 of 10 done: accuracy 75.00 %, loss 0.7500, skipped, cohort "
                          "secret, epsilon 0.75 of 2 so far",
                          "round 3 of 10: training"));
}

}  // namespace
}  // namespace skerry
