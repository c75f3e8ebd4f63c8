// A budget that is held against somebody who does not know the cohorts: between real processes,
// with coins of the operating system, through the loss of the coordinator.
#include <filesystem>
#include <set>
#include <signal.h>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/privacy/ledger.h"
#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string SecretJob(int rounds, int nodes, const std::string& privacy,
                      const std::string& more = "") {
  return fmt::format(R"(version: 1
seed: 7
model: {{name: cnn_small}}
data: {{id: fashion, dataset: fashion_mnist, examples_max: 160, partition: {{scheme: iid}}}}
training: {{local_epochs: 1, batch_size: 20, optimizer: {{name: sgd, learning_rate: 0.1}}}}
round: {{count: {}, nodes: {}, quorum: 4}}
privacy: {{enabled: true, unit: client, observer: public, delta: 1.0e-5, clip_norm: 0.5, {}}}
evaluation: {{every_rounds: 0}}
{})",
                     rounds, nodes, privacy, more);
}

const std::string kShares =
    "placement: distributed, noise_multiplier: 8, sampling: {scheme: poisson, rate: 0.8}";
const std::string kMasks =
    "secagg: {enabled: true, colluders: 5, dropout_tolerance: 0, min_survivors: 7}\n";

// Half of eight nodes on average, and fewer than four in a third of the rounds.
const std::string kCentral =
    "placement: coordinator, noise_multiplier: 20, sampling: {scheme: poisson, rate: 0.5}";

std::string OutputOf(const std::vector<std::string>& command) {
  Subprocess process(command);
  EXPECT_EQ(process.WaitForExit(), 0) << process.standard_error();
  return process.standard_output();
}

TEST(SecretCohortsTest, NobodyOutsideLearnsWhoTookPartAndARestartDrawsNothingAnew) {
  Deployment deployment({.nodes = 16, .processes = 2});
  deployment.StartCoordinator(SecretJob(5, 16, kShares, kMasks));
  const std::vector<std::string> unlimited = {"--epsilon-total", "none"};
  for (const int process : {0, 1}) deployment.StartAgent(process, unlimited);
  ASSERT_TRUE(deployment.coordinator().WaitForText("round 2 of 5"))
      << deployment.coordinator().standard_error() << deployment.agent(0).standard_error();
  deployment.coordinator().Signal(SIGKILL);
  deployment.coordinator().WaitForExit();
  const std::string before = deployment.coordinator().standard_error();
  ASSERT_OK_AND_ASSIGN(const RunHistory stopped, ReadRunHistory(deployment.run_dir()));
  const std::string live = OutputOf({CoordinatorProgram(), "status", deployment.run_dir()});
  deployment.StartCoordinator(SecretJob(5, 16, kShares, kMasks), {"--resume"});

  const nlohmann::json result = deployment.Result();

  ASSERT_EQ(result.value("status", ""), "completed") << deployment.coordinator().standard_error();
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  ASSERT_EQ(history.rounds.size(), 5u);
  if (stopped.open_round.has_value()) {
    std::vector<NodeId> drawn;
    for (const auto& one : history.rounds[stopped.rounds.size()].committed.participants) {
      drawn.push_back(one.node);
    }
    EXPECT_EQ(drawn, stopped.open_round->invited);
  }
  // Coins differ from round to round (2^-9 that two given ones are the same).
  std::set<std::vector<NodeId>> cohorts;
  for (const std::vector<NodeId>& survivors : Survivors(history)) {
    if (!survivors.empty()) cohorts.insert(survivors);
  }
  EXPECT_GE(cohorts.size(), 4u);

  ASSERT_OK_AND_ASSIGN(const std::string status,
                       ReadFile(deployment.run_dir() + "/status.json", 1 << 20));
  const std::string ended = OutputOf({CoordinatorProgram(), "status", deployment.run_dir()});
  for (const std::string& seen : {deployment.Report(), status, live, ended, before, result.dump(),
                                  deployment.coordinator().standard_error()}) {
    EXPECT_THAT(seen, Not(HasSubstr("node-00")));
  }
  EXPECT_THAT(ended, AllOf(HasSubstr("secret cohorts of 16"), HasSubstr("insider at most")));
  EXPECT_GT(result.value("epsilon_insider", 0.0), result.value("epsilon", 9.0));
  EXPECT_EQ(std::filesystem::status(deployment.run_dir() + "/run.db").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_THAT(
      OutputOf({CoordinatorProgram(), "status", deployment.run_dir(), "--insider", "--json"}),
      HasSubstr("\"invited\":"));
  EXPECT_THAT(deployment.Report(), HasSubstr("by coins that the coordinator keeps secret"));
}

// A site charges what it released to insiders, and nothing for rounds it was not drawn for.
TEST(SecretCohortsTest, SitesChargeTheRoundsTheirNodesWereIn) {
  Deployment deployment({.nodes = 16, .processes = 2});
  deployment.StartCoordinator(SecretJob(3, 16, kShares, kMasks));
  const std::vector<std::string> unlimited = {"--epsilon-total", "none"};
  for (const int process : {0, 1}) deployment.StartAgent(process, unlimited);
  ASSERT_EQ(deployment.Result().value("status", ""), "completed");
  for (const int process : {0, 1}) deployment.agent(process).WaitForExit();
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));

  std::map<NodeId, int64_t> releases;
  for (const std::vector<NodeId>& survivors : Survivors(history)) {
    for (const NodeId& node : survivors) ++releases[node];
  }
  int64_t charged = 0;
  for (int process = 0; process < 2; ++process) {
    ASSERT_OK_AND_ASSIGN(const Ledger ledger,
                         Ledger::Open(fmt::format("{}/process-{}/privacy-ledger.jsonl",
                                                  deployment.key_folder(), process)));
    for (int i = 0; i < 16; ++i) {
      const NodeId node(fmt::format("node-{:04}", i));
      for (const SpentEvent& spent : ledger.spending().EventsOf("fashion", node)) {
        EXPECT_EQ(spent.event.sampling.amplifying_rate(), 1);
        EXPECT_EQ(spent.event.noise_multiplier, 8);
        EXPECT_GE(spent.event.steps, releases[node]);
        charged += spent.event.steps;
      }
    }
  }
  EXPECT_GT(charged, 3 * 7);
  EXPECT_LT(charged, 3 * 16);
  for (const BudgetCharged& charge : history.charges) EXPECT_EQ(charge.sampling_rate, 0.8);
}

TEST(SecretCohortsTest, CohortsThatAreTooSmallLeaveTheModelAsItIsAndArePaidFor) {
  constexpr int kRounds = 30;
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(SecretJob(kRounds, 8, kCentral));
  const std::vector<std::string> unlimited = {"--epsilon-total", "none"};
  for (const int process : {0, 1}) deployment.StartAgent(process, unlimited);
  for (int kill = 0; kill < 2; ++kill) {
    ASSERT_TRUE(deployment.coordinator().WaitForText(" of 30 done"))
        << deployment.coordinator().standard_error() << deployment.agent(0).standard_error();
    deployment.coordinator().Signal(SIGKILL);
    deployment.coordinator().WaitForExit();
    deployment.StartCoordinator(SecretJob(kRounds, 8, kCentral), {"--resume"});
  }

  const nlohmann::json result = deployment.Result();

  ASSERT_EQ(result.value("status", ""), "completed") << deployment.coordinator().standard_error();
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  ASSERT_EQ(history.rounds.size(), static_cast<size_t>(kRounds));
  EXPECT_EQ(history.charges.size(), static_cast<size_t>(kRounds));
  std::string model = history.info.initial_sha256;
  int skipped = 0;
  for (const RoundHistory& round : history.rounds) {
    const RoundCommitted& committed = round.committed;
    EXPECT_EQ(committed.is_skipped, committed.participants.size() < 4) << committed.round.value();
    EXPECT_EQ(committed.is_skipped, committed.model_sha256 == model) << committed.round.value();
    if (!committed.is_skipped) {
      EXPECT_EQ(committed.weight_sum, 4);  // half of eight, whoever came
    }
    skipped += committed.is_skipped;
    model = committed.model_sha256;
  }
  EXPECT_GE(skipped, 1);  // 0.64^30 that none is
  EXPECT_LT(skipped, kRounds);
  EXPECT_THAT(deployment.Report(), HasSubstr("\"skipped\":true"));
}

TEST(SecretCohortsTest, ARunWithSecretCohortsIsNotReplayed) {
  Deployment deployment({.nodes = 8, .processes = 1});
  deployment.StartCoordinator(SecretJob(1, 8, kCentral));
  deployment.StartAgent(0, {"--epsilon-total", "none"});
  ASSERT_EQ(deployment.Result().value("status", ""), "completed");
  Subprocess replay({CoordinatorProgram(), "run", "--replay", deployment.run_dir(), "--run-dir",
                     deployment.Path("again"), "--listen", "ipc://" + deployment.Path("socket"),
                     "--roster", deployment.roster_path()});

  EXPECT_EQ(replay.WaitForExit(), 2);
  EXPECT_THAT(replay.standard_error(), HasSubstr("cannot be replayed"));
}

}  // namespace
}  // namespace skerry
