// Secure aggregation between real processes: the same model as without it, through the loss of
// agents and of the coordinator.
#include <algorithm>
#include <filesystem>
#include <signal.h>

#include "common/base/file.h"
#include "common/crypto/hex.h"
#include "common/identity/key_files.h"
#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::Not;

// Six of the eight open a sum, so two may drop out in the middle of a round.
std::vector<std::string> Masked(std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"--set", "secagg.enabled=true",
                                        "--set", "secagg.colluders=2",
                                        "--set", "secagg.dropout_tolerance=2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string PlainSha(const std::vector<std::string>& arguments) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(SmallJob(), arguments);
  deployment.StartAllAgents();
  return deployment.Result().value("model_sha256", "");
}

TEST(SecAggTest, ModelIsTheSameWithAndWithoutIt) {
  const std::string plain = PlainSha({});
  ASSERT_EQ(plain.size(), 64u);
  for (const Deployment::Link link : {Deployment::Link::kIpc, Deployment::Link::kTcp}) {
    Deployment deployment({.nodes = 8, .processes = 3, .link = link});
    deployment.StartCoordinator(SmallJob(), Masked());
    deployment.StartAllAgents();

    const nlohmann::json result = deployment.Result();

    EXPECT_EQ(result.value("status", ""), "completed") << result;
    EXPECT_EQ(result.value("model_sha256", ""), plain);
    EXPECT_THAT(deployment.Report(), HasSubstr("Secure aggregation, against a coordinator"));
  }
}

TEST(SecAggTest, ModelIsTheSameAlongASparseGraph) {
  std::string plain;
  for (const bool is_masked : {false, true}) {
    Deployment deployment({.nodes = 80, .processes = 2});
    std::vector<std::string> arguments = {"--set", "round.nodes=80", "--set", "round.quorum=80"};
    if (is_masked) {
      arguments.insert(arguments.end(),
                       {"--set", "secagg.enabled=true", "--set", "secagg.colluders=26", "--set",
                        "secagg.dropout_tolerance=2"});
    }
    deployment.StartCoordinator(SmallJob(), arguments);
    deployment.StartAllAgents();
    const nlohmann::json result = deployment.Result();
    ASSERT_EQ(result.value("status", ""), "completed")
        << deployment.coordinator().standard_error();
    if (!is_masked) {
      plain = result.value("model_sha256", "");
    } else {
      EXPECT_EQ(result.value("model_sha256", ""), plain);
      EXPECT_THAT(deployment.Report(), HasSubstr("the claim is semi-malicious"));
    }
  }
}

TEST(SecAggTest, AgentKilledInTheMiddleCostsItsOwnUpdateOnly) {
  Deployment deployment({.nodes = 8, .processes = 8, .link = Deployment::Link::kTcp});
  deployment.StartCoordinator(
      SmallJob(), Masked({"--set", "round.count=12", "--set", "round.stall_timeout_ms=2000"}));
  deployment.StartAllAgents();
  ASSERT_TRUE(deployment.coordinator().WaitForText("round 1 of 12 done"));

  deployment.agent(3).Signal(SIGKILL);

  const nlohmann::json result = deployment.Result();
  EXPECT_EQ(result.value("status", ""), "completed") << deployment.coordinator().standard_error();
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  const auto survivors = Survivors(history);
  ASSERT_EQ(survivors.size(), 12u);
  const std::vector<NodeId>& last = survivors.back();
  EXPECT_FALSE(std::binary_search(last.begin(), last.end(), NodeId("node-0003")));
}

TEST(SecAggTest, CoordinatorKilledThreeTimesEndsWithTheModelOfAnUninterruptedRun) {
  const std::vector<std::string> rounds = {"--set", "round.count=25"};
  const std::string plain = PlainSha(rounds);
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(SmallJob(), Masked(rounds));
  deployment.StartAllAgents();
  std::vector<std::string> resuming = Masked(rounds);
  resuming.push_back("--resume");
  for (int kill = 0; kill < 3; ++kill) {
    ASSERT_TRUE(deployment.coordinator().WaitForText("of 25 done"));
    deployment.coordinator().Signal(SIGKILL);
    deployment.coordinator().WaitForExit();
    deployment.StartCoordinator(SmallJob(), resuming);
  }

  const nlohmann::json result = deployment.Result();
  EXPECT_EQ(result.value("status", ""), "completed") << result;
  EXPECT_EQ(result.value("model_sha256", "none"), plain);
}

TEST(SecAggTest, ReplayOfAMaskedRunGivesItsModel) {
  Deployment deployment({.nodes = 8, .processes = 1});
  deployment.StartCoordinator(SmallJob(), Masked());
  deployment.StartAllAgents();
  const nlohmann::json result = deployment.Result();
  ASSERT_EQ(result.value("status", ""), "completed");
  Subprocess replay({CoordinatorProgram(), "run", "--replay", deployment.run_dir(), "--run-dir",
                     deployment.Path("replayed"), "--listen", "ipc://" + deployment.Path("socket2"),
                     "--roster", deployment.roster_path(), "--json"});
  ASSERT_TRUE(replay.WaitForText("listening on"));
  Subprocess agent({AgentProgram(), "run", "--coordinator", "ipc://" + deployment.Path("socket2"),
                    "--virtual-nodes", "0-7", "--process", "process-0", "--keys",
                    deployment.key_folder() + "/process-0", "--roster", deployment.roster_path(),
                    "--once"});

  EXPECT_EQ(replay.WaitForExit(), 0) << replay.standard_error();
  EXPECT_THAT(replay.standard_error(), HasSubstr("the recorded one, bit by bit"));
}

TEST(SecAggTest, AgentWithItsDefaultPolicyRefusesAPlainJob) {
  Deployment deployment({.nodes = 8, .processes = 1});
  deployment.StartCoordinator(SmallJob());
  Subprocess agent({AgentProgram(), "run", "--coordinator", deployment.endpoint(),
                    "--virtual-nodes", "0-7", "--process", "process-0", "--keys",
                    deployment.key_folder() + "/process-0", "--roster", deployment.roster_path(),
                    "--once"});

  EXPECT_EQ(agent.WaitForExit(), 1) << agent.standard_error();
  EXPECT_THAT(agent.standard_error(), HasSubstr("policy.allow_plain"));
  EXPECT_THAT(agent.standard_error(), Not(HasSubstr("trained")));
}

TEST(SecAggTest, NoSecretReachesTheRunDirectoryALogOrACoreFile) {
  Deployment deployment({.nodes = 8, .processes = 1, .link = Deployment::Link::kTcp});
  deployment.StartCoordinator(SmallJob(), Masked());
  deployment.StartAllAgents();
  ASSERT_TRUE(deployment.coordinator().WaitForText("round 1 of 3 done"));
  for (const int pid : {deployment.coordinator().pid(), deployment.agent(0).pid()}) {
    ASSERT_OK_AND_ASSIGN(const std::string limits,
                         ReadFile("/proc/" + std::to_string(pid) + "/limits", 1 << 16));
    EXPECT_THAT(limits, testing::ContainsRegex("Max core file size +0 +0"));
  }
  ASSERT_EQ(deployment.Result().value("status", ""), "completed");
  std::string written = deployment.coordinator().standard_error() +
                        deployment.coordinator().standard_output() +
                        deployment.agent(0).standard_error();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(deployment.run_dir())) {
    if (!entry.is_regular_file()) continue;
    ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(entry.path().string(), 64 << 20));
    written += bytes;
  }

  ASSERT_OK_AND_ASSIGN(const ProcessKeys keys,
                       ReadProcessKeys(deployment.key_folder() + "/process-0"));
  std::vector<std::span<const uint8_t>> secrets = {keys.curve.secret().bytes()};
  for (const NodeKey& node : keys.nodes) secrets.push_back(node.key.seed().bytes());
  ASSERT_EQ(secrets.size(), 9u);
  for (const std::span<const uint8_t> secret : secrets) {
    EXPECT_EQ(written.find(std::string(secret.begin(), secret.end())), std::string::npos);
    EXPECT_EQ(written.find(HexOf(secret)), std::string::npos);
  }
  // The session of the open round goes with its commit, and so does the masked sum.
  EXPECT_TRUE(std::filesystem::is_empty(deployment.run_dir() + "/state"));
}

}  // namespace
}  // namespace skerry
