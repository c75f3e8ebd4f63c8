// kill -9 of the coordinator loses nothing: the run goes on to the same model.
#include <signal.h>

#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

// Checkpoints at rounds 2 and 4, so that the kill after round 3 needs the aggregate of round 3 too.
const std::vector<std::string>& FedAdam() {
  static const std::vector<std::string> overrides = {
      "--set", "strategy.name=fedadam", "--set", "strategy.learning_rate=0.03",
      "--set", "round.count=5",         "--set", "storage.checkpoint_every=2"};
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
  for (const char* const moment : {"round 1 of 5 done", "round 3 of 5 done"}) {
    ASSERT_TRUE(killed.coordinator().WaitForText(moment));
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
  EXPECT_THAT(other.standard_error(), testing::HasSubstr("another job"));
}

}  // namespace
}  // namespace skerry
