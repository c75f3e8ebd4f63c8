// kill -9 of the coordinator loses nothing: the run goes on to the same model.
#include <signal.h>

#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

// A checkpoint every third round: most kills need the aggregates after it, too.
const std::vector<std::string>& FedAdam() {
  static const std::vector<std::string> overrides = {
      "--set", "strategy.name=fedadam", "--set", "strategy.learning_rate=0.03",
      "--set", "round.count=60",        "--set", "storage.checkpoint_every=3"};
  return overrides;
}

TEST(ResumeTest, RunKilledTwiceEndsWithTheModelOfAnUninterruptedOne) {
  Deployment whole({.nodes = 8, .processes = 2});
  whole.StartCoordinator(SmallJob(), FedAdam());
  whole.StartAllAgents();
  const nlohmann::json expected = whole.Result();
  ASSERT_EQ(expected.value("status", ""), "completed");

  Deployment killed({.nodes = 8, .processes = 2, .link = Deployment::Link::kTcp});
  killed.StartCoordinator(SmallJob(), FedAdam());
  killed.StartAllAgents();
  std::vector<std::string> resuming = FedAdam();
  resuming.push_back("--resume");
  for (int kill = 0; kill < 2; ++kill) {
    ASSERT_TRUE(killed.coordinator().WaitForText("of 60 done"));
    killed.coordinator().Signal(SIGKILL);
    EXPECT_EQ(killed.coordinator().WaitForExit(), 128 + SIGKILL);
    killed.StartCoordinator(SmallJob(), resuming);
  }

  const nlohmann::json result = killed.Result();
  EXPECT_EQ(result.value("status", ""), "completed");
  EXPECT_EQ(result.value("model_sha256", "none"), expected.value("model_sha256", ""));
}

TEST(ResumeTest, AnotherJobIsNotResumed) {
  Deployment deployment({.nodes = 8, .processes = 1});
  deployment.StartCoordinator(SmallJob());
  deployment.coordinator().Signal(SIGKILL);
  deployment.coordinator().WaitForExit();
  Subprocess other({CoordinatorProgram(), "run", deployment.Path("job.yaml"), "--set", "seed=9",
                    "--resume", "--run-dir", deployment.run_dir(), "--listen",
                    "ipc://" + deployment.Path("other"), "--roster", deployment.roster_path()});

  EXPECT_EQ(other.WaitForExit(), 2);
  EXPECT_THAT(other.standard_error(), testing::HasSubstr("another seed"));
}

}  // namespace
}  // namespace skerry
