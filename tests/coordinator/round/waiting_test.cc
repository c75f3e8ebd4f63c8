// What people are told while the machine waits.
#include "tests/coordinator/round/round_driver.h"

namespace skerry {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

TEST(WaitingTest, NamesWhoIsOutstandingAndHowFarItIs) {
  RoundDriver run;
  run.Start();
  run.Join(1);
  run.Join(2);
  run.Progress(1, 415);

  EXPECT_EQ(run.machine.WaitingFor(run.now),
            "waiting for 2 more of node-1 (training, 41 %), node-2 (tasked), node-3 (not "
            "connected), node-4 (not connected)");
}

TEST(WaitingTest, SaysWhenSilentNodesWillBeCut) {
  RoundDriver run;
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  run.Deliver(1);
  run.Deliver(2);
  run.Leave(4);
  run.now += seconds(18);
  run.Progress(3, 500);

  EXPECT_EQ(run.machine.WaitingFor(run.now),
            "waiting for node-3 (training, 50 %), node-4 (not connected, silent for 18 s; cut in "
            "12 s)");
}

TEST(WaitingTest, SaysWhenItGivesUp) {
  RoundDriver run;
  run.Start();
  EXPECT_THAT(run.machine.WaitingFor(run.now), Not(HasSubstr("gives up")));
  run.now += seconds(600);

  EXPECT_THAT(run.machine.WaitingFor(run.now), HasSubstr("; gives up in 300 s"));
}

TEST(WaitingTest, NamesFiveAndCountsTheRest) {
  RoundPolicy policy = SmallPolicy();
  policy.round.nodes = 17;
  RoundDriver run(policy, RosterOf(17));
  run.Start();

  const std::string text = run.machine.WaitingFor(run.now);
  EXPECT_THAT(text, HasSubstr(" and 12 more"));
  EXPECT_THAT(text, HasSubstr("node-13"));  // fifth in order of names
  EXPECT_THAT(text, Not(HasSubstr("node-14")));
}

TEST(WaitingTest, OtherPhasesSayWhatTheyWaitForAndAFinishedRunNothing) {
  RoundPolicy policy = SmallPolicy();
  policy.round.count = 1;
  RoundDriver run(policy);
  run.Start();
  for (int i = 1; i <= 4; ++i) run.Join(i);
  for (int i = 1; i <= 4; ++i) run.Deliver(i);
  EXPECT_EQ(run.machine.WaitingFor(run.now), "waiting for the commit of round 1");
  run.Commit();
  EXPECT_EQ(run.machine.WaitingFor(run.now), "waiting for the evaluation of round 1's model");
  run.Evaluate(1);
  EXPECT_EQ(run.machine.WaitingFor(run.now), "");

  RoundDriver small(SmallPolicy(), RosterOf(1));
  small.Start();
  EXPECT_EQ(small.machine.WaitingFor(small.now),
            "waiting for nodes in the roster: it has 1, a round needs 2");
}

}  // namespace
}  // namespace skerry
