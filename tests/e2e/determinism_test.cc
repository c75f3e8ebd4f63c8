// The same seed gives the same model, bit by bit, whatever the processes, their order, the link and
// the arrival of updates.
#include <fmt/format.h>

#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

std::string ShaOf(Deployment::Options options, const std::vector<int>& order) {
  Deployment deployment(options);
  deployment.StartCoordinator(SmallJob());
  for (const int process : order) deployment.StartAgent(process);
  const nlohmann::json result = deployment.Result();
  EXPECT_EQ(result.value("status", ""), "completed") << result;
  EXPECT_EQ(result.value("rounds", 0), 3);
  EXPECT_TRUE(result["accuracy"].is_number());
  return result.value("model_sha256", "");
}

TEST(DeterminismTest, ModelIsTheSameWhateverTheProcessesTheirOrderAndTheLink) {
  const std::string one_process = ShaOf({.nodes = 8, .processes = 1}, {0});
  EXPECT_EQ(one_process.size(), 64u);

  EXPECT_EQ(ShaOf({.nodes = 8, .processes = 1}, {0}), one_process);
  EXPECT_EQ(ShaOf({.nodes = 8, .processes = 3}, {2, 0, 1}), one_process);
  EXPECT_EQ(ShaOf({.nodes = 8, .processes = 2, .link = Deployment::Link::kTcp}, {1, 0}),
            one_process);
}

TEST(DeterminismTest, AnotherSeedGivesAnotherModel) {
  Deployment deployment({.nodes = 8, .processes = 1});
  deployment.StartCoordinator(SmallJob(), {"--set", "seed=8", "--set", "round.count=1"});
  deployment.StartAllAgents();
  Deployment other({.nodes = 8, .processes = 1});
  other.StartCoordinator(SmallJob(), {"--set", "round.count=1"});
  other.StartAllAgents();

  EXPECT_NE(deployment.Result().value("model_sha256", ""),
            other.Result().value("model_sha256", ""));
}

TEST(DeterminismTest, ReplayOfARunGivesItsModel) {
  Deployment recorded({.nodes = 8, .processes = 2});
  recorded.StartCoordinator(SmallJob(), {"--set", "round.cohort_fraction=0.5", "--set",
                                         "round.quorum=3", "--set", "strategy.name=fedavgm"});
  recorded.StartAllAgents();
  const nlohmann::json result = recorded.Result();
  ASSERT_EQ(result.value("status", ""), "completed");

  Subprocess keys({CoordinatorProgram(), "keys", "throw-away", "--nodes", "8", "--processes", "1",
                   "--out", recorded.Path("keys2")});
  ASSERT_EQ(keys.WaitForExit(), 0);
  Subprocess replay({CoordinatorProgram(), "run", "--replay", recorded.run_dir(), "--run-dir",
                     recorded.Path("replayed"), "--listen", "ipc://" + recorded.Path("socket2"),
                     "--roster", recorded.Path("keys2/roster.txt"), "--json"});
  ASSERT_TRUE(replay.WaitForText("listening on"));
  Subprocess agent({AgentProgram(), "run", "--coordinator", "ipc://" + recorded.Path("socket2"),
                    "--virtual-nodes", "0-7", "--process", "process-0", "--keys",
                    recorded.Path("keys2/process-0"), "--allow-plain", "--cohort-min", "1",
                    "--once"});

  EXPECT_EQ(replay.WaitForExit(), 0) << replay.standard_error();
  EXPECT_THAT(replay.standard_error(), testing::HasSubstr("the recorded one, bit by bit"));
  EXPECT_THAT(replay.standard_output(), testing::HasSubstr(result.value("model_sha256", "none")));
}

}  // namespace
}  // namespace skerry
