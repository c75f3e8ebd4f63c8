// Revoking and adding nodes while a job runs touches no other node.
#include <algorithm>
#include <signal.h>

#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

TEST(RosterTest, NodeIsRevokedAndAnotherAddedWhileTheJobRuns) {
  Deployment deployment({.nodes = 8, .processes = 4, .link = Deployment::Link::kTcp});
  deployment.StartCoordinator(SmallJob(), {"--set", "round.count=1000"});
  deployment.StartAllAgents();
  ASSERT_TRUE(deployment.coordinator().WaitForText("round 2 of 1000 done"));

  Subprocess revoke(
      {CoordinatorProgram(), "keys", "revoke", deployment.roster_path(), "process-3"});
  EXPECT_EQ(revoke.WaitForExit(), 0) << revoke.standard_error();
  ASSERT_TRUE(deployment.coordinator().WaitForText("roster changed: 3 processes, 6 nodes"));
  EXPECT_TRUE(deployment.agent(3).WaitForText("revoked"));

  Subprocess create({CoordinatorProgram(), "keys", "new", "process", "process-9", "--nodes",
                     "extra-a,extra-b", "--out", deployment.Path("extra")});
  EXPECT_EQ(create.WaitForExit(), 0) << create.standard_error();
  Subprocess add({CoordinatorProgram(), "keys", "roster", deployment.roster_path(), "--add",
                  deployment.Path("extra/roster.part")});
  EXPECT_EQ(add.WaitForExit(), 0) << add.standard_error();
  ASSERT_TRUE(deployment.coordinator().WaitForText("roster changed: 4 processes, 8 nodes"));
  Subprocess extra(
      {AgentProgram(), "run", "--coordinator", deployment.endpoint(), "--virtual-nodes", "6-7",
       "--process", "process-9", "--keys", deployment.Path("extra"), "--server-key",
       deployment.key_folder() + "/coordinator.pub", "--allow-plain", "--cohort-min", "1"});
  // Its third task means that the update of its first was accepted.
  ASSERT_TRUE(extra.WaitForText("2 of our nodes train", 3)) << extra.standard_error();

  deployment.coordinator().Signal(SIGTERM);
  EXPECT_EQ(deployment.coordinator().WaitForExit(), 0);
  for (int process = 0; process < 3; ++process) {
    EXPECT_THAT(deployment.agent(process).standard_error(), testing::Not(HasSubstr("refuse")));
  }
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  const auto survivors = Survivors(history);
  const auto has = [&](const std::vector<NodeId>& round, const char* node) {
    return std::binary_search(round.begin(), round.end(), NodeId(node));
  };
  EXPECT_TRUE(std::any_of(survivors.begin(), survivors.end(),
                          [&](const auto& round) { return has(round, "extra-a"); }));
  EXPECT_TRUE(has(survivors.front(), "node-0007"));
  EXPECT_FALSE(has(survivors.back(), "node-0007"));
}

TEST(RosterTest, AgentWithUnknownKeyIsToldSo) {
  Deployment deployment({.nodes = 8, .processes = 1, .link = Deployment::Link::kTcp});
  deployment.StartCoordinator(SmallJob());
  Subprocess create({CoordinatorProgram(), "keys", "new", "process", "stranger", "--nodes", "s",
                     "--out", deployment.Path("stranger")});
  ASSERT_EQ(create.WaitForExit(), 0);

  Subprocess stranger({AgentProgram(), "run", "--coordinator", deployment.endpoint(),
                       "--virtual-nodes", "0-0", "--process", "stranger", "--keys",
                       deployment.Path("stranger"), "--server-key",
                       deployment.key_folder() + "/coordinator.pub", "--allow-plain"});

  EXPECT_TRUE(stranger.WaitForText("is its public key in the roster")) << stranger.standard_error();
  EXPECT_TRUE(deployment.coordinator().WaitForText("its key is not in the roster"));
}

}  // namespace
}  // namespace skerry
