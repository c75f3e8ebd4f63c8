// A finished run goes on for more rounds, within its budget or with a larger one.
#include <algorithm>
#include <signal.h>

#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(MoreRoundsTest, AFinishedRunGoesOnAsIfItHadBeenPlannedThatLong) {
  Deployment whole({.nodes = 8, .processes = 2});
  whole.StartCoordinator(SmallJob(), {"--set", "round.count=5"});
  whole.StartAllAgents();
  const nlohmann::json expected = whole.Result();
  Deployment longer({.nodes = 8, .processes = 2});
  longer.StartCoordinator(SmallJob());
  longer.StartAllAgents();
  ASSERT_EQ(longer.Result().value("rounds", 0), 3);

  longer.StartCoordinator(SmallJob(), {"--resume", "--set", "round.count=5"});
  longer.StartAllAgents();

  const nlohmann::json result = longer.Result();
  EXPECT_EQ(result.value("status", ""), "completed");
  EXPECT_EQ(result.value("rounds", 0), 5);
  EXPECT_EQ(result.value("model_sha256", "none"), expected.value("model_sha256", ""));
  EXPECT_THAT(longer.Report(), HasSubstr("round.count 3 -"));
}

constexpr char kPrivateJob[] = R"(version: 1
seed: 7
model: {name: cnn_small}
data: {id: fashion, dataset: fashion_mnist, examples_max: 800, partition: {scheme: iid}}
strategy: {name: fedavgm, learning_rate: 0.5, momentum: 0.5}
round: {count: 3, nodes: 8, quorum: 7}
privacy: {enabled: true, placement: distributed, epsilon: 3.0, delta: 1.0e-5, clip_norm: 0.1,
          records: 800, sampling: {rate: 0.1}}
secagg: {enabled: true, colluders: 2, dropout_tolerance: 1, min_survivors: 7}
evaluation: {every_rounds: 0}
)";

TEST(MoreRoundsTest, MorePrivateRoundsNeedALargerEpsilonAndKeepTheirNoise) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(kPrivateJob);
  deployment.StartAllAgents();
  ASSERT_EQ(deployment.Result().value("status", ""), "completed");
  Subprocess refused({CoordinatorProgram(), "run", "--resume", "--run-dir", deployment.run_dir(),
                      "--set", "round.count=5", "--listen", "ipc://" + deployment.Path("other"),
                      "--roster", deployment.roster_path()});
  EXPECT_EQ(refused.WaitForExit(), 2);
  EXPECT_THAT(refused.standard_error(),
              AllOf(HasSubstr("3 releases have spent epsilon"), HasSubstr("2 more rounds"),
                    HasSubstr("privacy.epsilon is 3"), HasSubstr("Not one more fits")));

  deployment.StartCoordinator(kPrivateJob,
                              {"--resume", "--set", "round.count=5", "--set", "privacy.epsilon=6"});
  deployment.StartAllAgents();

  const nlohmann::json result = deployment.Result();
  ASSERT_EQ(result.value("status", ""), "completed") << deployment.coordinator().standard_error();
  EXPECT_EQ(result.value("rounds", 0), 5);
  EXPECT_GT(result.value("epsilon", 0.0), 3.0);
  EXPECT_LE(result.value("epsilon", 9.0), 6.0);
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  ASSERT_EQ(history.charges.size(), 5u);
  for (const BudgetCharged& charge : history.charges) {
    EXPECT_EQ(charge.noise_multiplier, history.charges[0].noise_multiplier);
  }
  EXPECT_TRUE(std::any_of(history.events.begin(), history.events.end(), [](const auto& event) {
    return event.event.kind == "job changed" &&
           event.event.detail == "privacy.epsilon 3 -> 6; round.count 3 -> 5";
  }));
  EXPECT_THAT(deployment.Report(), AllOf(HasSubstr("privacy.epsilon 3 -"),
                                         HasSubstr("is (6, 1e-05)-differentially private")));
}

// The round that is open when the job changes is begun anew under the new job.
TEST(MoreRoundsTest, ARunThatIsKilledMayGoOnWithAChangedJob) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(kPrivateJob, {"--set", "round.count=30"});
  deployment.StartAllAgents();
  ASSERT_TRUE(deployment.coordinator().WaitForText("of 30 done"));
  deployment.coordinator().Signal(SIGKILL);
  deployment.coordinator().WaitForExit();

  deployment.StartCoordinator(
      kPrivateJob, {"--resume", "--set", "round.count=32", "--set", "privacy.epsilon=6"});

  const nlohmann::json result = deployment.Result();
  EXPECT_EQ(result.value("status", ""), "completed") << deployment.coordinator().standard_error();
  EXPECT_EQ(result.value("rounds", 0), 32);
}

}  // namespace
}  // namespace skerry
