// Differential privacy between real processes: within the budget, charged before it is spent,
// through the loss of the coordinator.
#include <set>
#include <signal.h>
#include <utility>

#include "common/base/file.h"
#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::Not;

// 800 images over eight nodes; a round is one step over all of them.
std::string GradientJob(int rounds) {
  return R"(version: 1
seed: 7
model: {name: cnn_small}
data: {id: fashion, dataset: fashion_mnist, examples_max: 800, partition: {scheme: iid}}
strategy: {name: fedavgm, learning_rate: 0.5, momentum: 0.5}
round: {count: )" +
         std::to_string(rounds) + R"(, nodes: 8, quorum: 7}
privacy:
  enabled: true
  placement: distributed
  epsilon: 4.0
  delta: 1.0e-5
  clip_norm: 0.1
  records: 800
  sampling: {rate: 0.1}
secagg: {enabled: true, colluders: 1, dropout_tolerance: 1, min_survivors: 7}
evaluation: {every_rounds: 0}
)";
}

// No attempt was charged twice, and every committed round was charged.
void ExpectChargedOnce(const RunHistory& history) {
  std::set<std::pair<uint64_t, uint32_t>> charged;
  for (const BudgetCharged& charge : history.charges) {
    EXPECT_TRUE(charged.emplace(charge.round.value(), charge.attempt.value()).second)
        << "round " << charge.round.value();
    EXPECT_GE(charge.noise_realised, charge.noise_multiplier);
  }
  for (const RoundHistory& round : history.rounds) {
    EXPECT_TRUE(charged.contains({round.committed.round.value(), round.committed.attempt.value()}));
  }
}

TEST(PrivacyTest, GradientRoundsStayWithinTheBudgetAndSayWhatTheyPromise) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(GradientJob(5),
                              {"--set", "secagg.colluders=2", "--set", "round.quorum=7"});
  deployment.StartAllAgents();

  const nlohmann::json result = deployment.Result();

  ASSERT_EQ(result.value("status", ""), "completed") << deployment.coordinator().standard_error();
  EXPECT_LE(result.value("epsilon", 9.0), 4.0);
  EXPECT_GT(result.value("epsilon", 0.0), 1.0);
  EXPECT_EQ(result.value("delta", 0.0), 1e-5);
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  EXPECT_EQ(history.charges.size(), 5u);
  ExpectChargedOnce(history);
  EXPECT_THAT(deployment.Report(), HasSubstr("differentially private for each single training"));
  EXPECT_THAT(deployment.Report(), HasSubstr("Spent so far: epsilon"));
}

TEST(PrivacyTest, ACoordinatorThatIsKilledForgetsNothingAndChargesNothingTwice) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(GradientJob(20), {"--set", "secagg.colluders=2"});
  deployment.StartAllAgents();
  for (int kill = 0; kill < 3; ++kill) {
    ASSERT_TRUE(deployment.coordinator().WaitForText("of 20 done"));
    deployment.coordinator().Signal(SIGKILL);
    deployment.coordinator().WaitForExit();
    deployment.StartCoordinator(GradientJob(20), {"--set", "secagg.colluders=2", "--resume"});
  }

  const nlohmann::json result = deployment.Result();

  ASSERT_THAT(result.value("status", ""), testing::AnyOf("completed", "budget_exhausted"))
      << deployment.coordinator().standard_error();
  EXPECT_LE(result.value("epsilon", 9.0), 4.0);
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  EXPECT_GE(history.charges.size(), history.rounds.size());
  ExpectChargedOnce(history);
}

TEST(PrivacyTest, NodesThatProtectThemselvesNeedNoSecureAggregation) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(R"(version: 1
seed: 7
model: {name: cnn_small}
data: {id: fashion, dataset: fashion_mnist, examples_max: 800, partition: {scheme: iid}}
training: {local_epochs: 1, batch_size: 10, optimizer: {name: sgd, learning_rate: 0.1}}
round: {count: 2, nodes: 8, quorum: 8}
privacy: {enabled: true, epsilon: 4.0, clip_norm: 0.5, records: 800, sampling: {rate: 0.1}}
evaluation: {every_rounds: 0}
)",
                              {});
  deployment.StartAllAgents();

  const nlohmann::json result = deployment.Result();

  ASSERT_EQ(result.value("status", ""), "completed") << deployment.coordinator().standard_error();
  EXPECT_THAT(deployment.Report(), HasSubstr("Each node adds the noise itself"));
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  ASSERT_EQ(history.charges.size(), 2u);
  EXPECT_EQ(history.charges[0].steps, 10);  // an epoch of batches of a tenth
  for (const RoundHistory& round : history.rounds) {
    EXPECT_EQ(round.committed.weight_sum, 8);  // nodes; nobody says how many examples it has
    EXPECT_EQ(round.committed.clamped_sum, 0);
  }
}

// Noise cannot be repeated, so a replay would be another run.
TEST(PrivacyTest, APrivateRunIsNotReplayed) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(GradientJob(1), {"--set", "secagg.colluders=2"});
  deployment.StartAllAgents();
  ASSERT_EQ(deployment.Result().value("status", ""), "completed");
  Subprocess replay({CoordinatorProgram(), "run", "--replay", deployment.run_dir(), "--run-dir",
                     deployment.Path("again"), "--listen", "ipc://" + deployment.Path("socket"),
                     "--roster", deployment.roster_path()});

  EXPECT_EQ(replay.WaitForExit(), 2);
  EXPECT_THAT(replay.standard_error(), HasSubstr("cannot be replayed"));
}

}  // namespace
}  // namespace skerry
