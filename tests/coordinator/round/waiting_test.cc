// What people are told while the machine waits.
#include "tests/coordinator/round/masked_run.h"

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
            "connected), node-4 (not connected); gives up after 900 s without progress");
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
            "12 s), for 18 s so far; goes on without who is silent for 30 s");
}

TEST(WaitingTest, SaysWhenItGivesUp) {
  RoundDriver run;
  run.Start();
  EXPECT_THAT(run.machine.WaitingFor(run.now), Not(HasSubstr("so far")));
  run.now += seconds(600);

  EXPECT_THAT(run.machine.WaitingFor(run.now), HasSubstr(", for 600 s so far; gives up in 300 s"));
}

TEST(WaitingTest, NamesSurvivorsWhoHaveNotAnsweredAndHowLongTheyWereAsked) {
  MaskedRun run;
  Outbox out = run.RunUpTo({1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(run.driver.machine.WaitingFor(run.driver.now),
            "waiting for the masked sum to be stored");
  out = run.Seal();
  std::erase_if(out.send, [](const OutgoingMessage& message) { return message.peer > Peer(4); });
  run.Sign(out);
  run.driver.Leave(6);
  run.driver.now += seconds(9);

  EXPECT_EQ(run.driver.machine.WaitingFor(run.driver.now),
            "waiting for survivors to sign who they are: 4 of 6, 4 are needed; missing: node-5 "
            "(asked), node-6 (not connected), for 9 s so far; stops after 900 s");
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
  run.now += seconds(7);
  EXPECT_EQ(run.machine.WaitingFor(run.now), "waiting for the commit of round 1, for 7 s so far");
  run.Commit();
  EXPECT_EQ(run.machine.WaitingFor(run.now),
            "waiting for the evaluation of round 1's model; then the run ends");
  run.Evaluate(1);
  EXPECT_EQ(run.machine.WaitingFor(run.now), "");

  RoundDriver small(SmallPolicy(), RosterOf(1));
  small.Start();
  EXPECT_EQ(small.machine.WaitingFor(small.now),
            "waiting for nodes in the roster: it has 1, a round needs 2; gives up in 900 s");
}

}  // namespace
}  // namespace skerry
