// Processes that die or come late cost their own updates and nothing else.
#include <algorithm>
#include <set>
#include <signal.h>

#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

TEST(FailureTest, RunCompletesWithOneAgentKilledInRoundTwoAndOneStartedLate) {
  Deployment deployment({.nodes = 8, .processes = 8, .link = Deployment::Link::kTcp});
  deployment.StartCoordinator(SmallJob(), {"--set", "round.count=12", "--set", "round.quorum=7",
                                           "--set", "round.stall_timeout_ms=2000"});
  for (int process = 0; process < 7; ++process) deployment.StartAgent(process);
  ASSERT_TRUE(deployment.coordinator().WaitForText("round 1 of 12 done"));

  // Six are left and seven are needed: the run waits for the one that comes late.
  deployment.agent(3).Signal(SIGKILL);
  deployment.StartAgent(7);

  const nlohmann::json result = deployment.Result();
  EXPECT_EQ(result.value("status", ""), "completed") << result;
  EXPECT_EQ(result.value("rounds", 0), 12);
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  std::set<std::string> events;
  for (const TimedEvent& event : history.events) {
    events.insert(event.event.kind + " " + event.event.node);
  }
  EXPECT_TRUE(events.contains("node left node-0003")) << testing::PrintToString(events);
  EXPECT_TRUE(events.contains("node joined late node-0007")) << testing::PrintToString(events);
  const auto survivors = Survivors(history);
  ASSERT_EQ(survivors.size(), 12u);
  const std::vector<NodeId>& last = survivors.back();
  EXPECT_EQ(survivors[0].size(), 7u);
  EXPECT_FALSE(std::binary_search(last.begin(), last.end(), NodeId("node-0003")));
  EXPECT_TRUE(std::binary_search(last.begin(), last.end(), NodeId("node-0007")));
  const std::string report = deployment.Report();
  EXPECT_THAT(report, HasSubstr("node left"));
  EXPECT_THAT(report, HasSubstr("node joined late"));
}

TEST(FailureTest, RunFailsAndSaysForWhomItWaitedWhenTheQuorumCannotBeMet) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(SmallJob(), {"--set", "round.wait_timeout_ms=1000"});
  deployment.StartAgent(0);  // 4 of the 6 nodes that are needed

  EXPECT_EQ(deployment.coordinator().WaitForExit(), 1);
  EXPECT_THAT(deployment.coordinator().standard_error(), HasSubstr("node-0004"));
  EXPECT_THAT(deployment.coordinator().standard_output(), HasSubstr("\"status\":\"failed\""));
}

TEST(FailureTest, InterruptedRunIsResumable) {
  Deployment deployment({.nodes = 8, .processes = 1});
  deployment.StartCoordinator(SmallJob());

  deployment.coordinator().Signal(SIGINT);

  EXPECT_EQ(deployment.coordinator().WaitForExit(), 130);
  deployment.StartCoordinator(SmallJob(), {"--resume"});
  deployment.StartAllAgents();
  EXPECT_EQ(deployment.Result().value("status", ""), "completed");
}

}  // namespace
}  // namespace skerry
