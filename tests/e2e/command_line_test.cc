// Bad usage and bad jobs: exit 2, every error at once, nothing started.
#include <filesystem>

#include <fmt/format.h>

#include "common/base/file.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class CommandLineTest : public testing::Test {
 protected:
  Subprocess Check(const std::string& job, std::vector<std::string> arguments = {}) {
    EXPECT_OK(WriteFileAtomically(folder_ / "job.yaml", job));
    arguments.insert(arguments.begin(), {CoordinatorProgram(), "check", folder_ / "job.yaml"});
    return Subprocess(std::move(arguments));
  }
  TemporaryDirectory folder_;
};

TEST_F(CommandLineTest, CheckPrintsTheResolvedJobWhichChecksAgain) {
  Subprocess check = Check(SmallJob());
  ASSERT_EQ(check.WaitForExit(), 0) << check.standard_error();
  EXPECT_THAT(check.standard_output(), AllOf(HasSubstr("quorum: 6"), HasSubstr("199210 parameters"),
                                             HasSubstr("guarantee: None")));

  Subprocess again = Check(check.standard_output());
  ASSERT_EQ(again.WaitForExit(), 0) << again.standard_error();
  EXPECT_EQ(again.standard_output(), check.standard_output());
}

TEST_F(CommandLineTest, AllErrorsOfAJobComeAtOnceWithTheirLines) {
  Subprocess check = Check(
      "version: 1\nmodle: {name: mlp}\nmodel: {name: mpl}\ndata: {id: x, dataset: fashion_mnist}\n"
      "round: {count: 0}\n");

  EXPECT_EQ(check.WaitForExit(), 2);
  EXPECT_THAT(check.standard_error(),
              AllOf(HasSubstr("job.yaml:2"), HasSubstr("model"), HasSubstr("job.yaml:3"),
                    HasSubstr("mlp"), HasSubstr("job.yaml:5"), HasSubstr("round.count")));
}

TEST_F(CommandLineTest, CheckSaysHowManyNodesSecureAggregationNeedsAndWhatItGuarantees) {
  Subprocess check =
      Check(SmallJob() + "secagg: {enabled: true, dropout_tolerance: 2, min_survivors: 6}\n");
  ASSERT_EQ(check.WaitForExit(), 0) << check.standard_error();
  EXPECT_THAT(
      check.standard_output(),
      AllOf(HasSubstr("n = 8 nodes"), HasSubstr("t = 6 of them"), HasSubstr("k = 7 others"),
            HasSubstr("6 updates are needed, so 2 may drop out"),
            HasSubstr("Secure aggregation, against a coordinator"), HasSubstr("Not promised")));
  EXPECT_EQ(check.standard_output().find("guarantee: None"), std::string::npos);

  Subprocess again = Check(check.standard_output());
  ASSERT_EQ(again.WaitForExit(), 0) << again.standard_error();
  EXPECT_EQ(again.standard_output(), check.standard_output());
}

TEST_F(CommandLineTest, JobThatAsksForWhatCannotBeGivenIsRefusedAndNothingIsStarted) {
  for (const char* const section :
       {"privacy: {enabled: true}\n", "secagg: {enabled: true, dropout_tolerance: 3}\n"}) {
    Deployment deployment({.nodes = 8, .processes = 1});
    ASSERT_OK(WriteFileAtomically(deployment.Path("job.yaml"), SmallJob() + section));
    Subprocess run({CoordinatorProgram(), "run", deployment.Path("job.yaml"), "--run-dir",
                    deployment.run_dir(), "--listen", "ipc://" + deployment.Path("socket"),
                    "--roster", deployment.roster_path()});

    EXPECT_EQ(run.WaitForExit(), 2) << run.standard_error();
    EXPECT_FALSE(std::filesystem::exists(deployment.run_dir()));
    EXPECT_FALSE(std::filesystem::exists(deployment.Path("socket")));
  }
}

nlohmann::json Accountant(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {CoordinatorProgram(), "privacy"});
  arguments.emplace_back("--json");
  Subprocess command(std::move(arguments));
  EXPECT_EQ(command.WaitForExit(), 0) << command.standard_error();
  return nlohmann::json::parse(command.standard_output());
}

// Published: 256 of 60,000, 1.1, 14,062 steps give 2.382 by PLD and 2.597 by RDP.
TEST_F(CommandLineTest, PrivacyGivesEpsilonForNoiseAndNoiseForEpsilon) {
  const std::vector<std::string> sgd = {"--sampling-rate", "0.0042666667", "--steps",
                                        "14062",           "--delta",      "1e-5"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), sgd.begin(), sgd.end());
    return Accountant(more);
  };
  const nlohmann::json tight = with({"--noise-multiplier", "1.1"});
  EXPECT_NEAR(tight["epsilon"].get<double>(), 2.382, 0.024);
  EXPECT_EQ(tight["accountant"], "pld");
  EXPECT_EQ(tight["adjacency"], "add_remove");
  EXPECT_EQ(tight["steps"], 14062);
  EXPECT_EQ(tight["delta"], 1e-5);
  const nlohmann::json rdp = with({"--noise-multiplier", "1.1", "--accountant", "rdp"});
  EXPECT_NEAR(rdp["epsilon"].get<double>(), 2.597, 0.03);

  const nlohmann::json noise = with({"--epsilon", "2.382"});
  EXPECT_NEAR(noise["noise_multiplier"].get<double>(), 1.1, 0.01);

  const nlohmann::json exact = Accountant(
      {"--noise-multiplier", "3", "--sampling-rate", "1", "--steps", "30", "--delta", "1e-6"});
  EXPECT_NEAR(exact["epsilon"].get<double>(), 9.85505, 1e-4);
  EXPECT_EQ(exact["accountant"], "analytic");
}

TEST_F(CommandLineTest, PrivacySaysWhyARequestIsImpossible) {
  const std::vector<std::vector<std::string>> requests = {
      {"--sampling-rate", "0.1", "--steps", "10", "--delta", "1e-5"},
      {"--noise-multiplier", "1", "--epsilon", "2", "--sampling-rate", "0.1", "--steps", "10",
       "--delta", "1e-5"},
      {"--noise-multiplier", "1", "--sampling-rate", "0.1", "--steps", "0", "--delta", "1e-5"},
      {"--noise-multiplier", "1", "--sampling-rate", "1.1", "--steps", "10", "--delta", "1e-5"},
      {"--noise-multiplier", "1", "--sampling-rate", "0.1", "--steps", "10", "--delta", "0"},
      {"--noise-multiplier", "-1", "--sampling-rate", "0.1", "--steps", "10", "--delta", "1e-5"},
      {"--epsilon", "0", "--sampling-rate", "0.1", "--steps", "10", "--delta", "1e-5"},
      {"--noise-multiplier", "1", "--sampling-rate", "0.1", "--steps", "10", "--delta", "1e-5",
       "--accountant", "analytic"}};
  for (std::vector<std::string> request : requests) {
    request.insert(request.begin(), {CoordinatorProgram(), "privacy"});
    Subprocess command(request);
    EXPECT_EQ(command.WaitForExit(), 2) << fmt::format("{}", fmt::join(request, " "));
    EXPECT_EQ(command.standard_output(), "");
    EXPECT_FALSE(command.standard_error().empty());
  }
}

TEST_F(CommandLineTest, CheckSaysWhatAPrivateJobPromisesAndIsReadBack) {
  Subprocess check = Check(
      "version: 1\nmodel: {name: cnn_small}\ndata: {id: fashion, dataset: fashion_mnist, "
      "partition: {scheme: iid}}\nround: {count: 600, nodes: 8, quorum: 7}\n"
      "privacy: {enabled: true, placement: distributed, epsilon: 2.0, clip_norm: 0.1, records: "
      "60000, sampling: {rate: 0.0341333}}\n"
      "secagg: {enabled: true, colluders: 1, dropout_tolerance: 1, min_survivors: 7}\n");
  ASSERT_EQ(check.WaitForExit(), 0) << check.standard_error();
  EXPECT_THAT(check.standard_output(),
              AllOf(HasSubstr("noise multiplier 1.86"), HasSubstr("1.155 times a trusted"),
                    HasSubstr("600 noisy steps"), HasSubstr("(2, 1e-05)-differentially"),
                    HasSubstr("private for each single")));

  Subprocess again = Check(check.standard_output());
  ASSERT_EQ(again.WaitForExit(), 0) << again.standard_error();
  EXPECT_EQ(again.standard_output(), check.standard_output());
}

Subprocess SparseGraph(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {CoordinatorProgram(), "secagg"});
  return Subprocess(std::move(arguments));
}

TEST_F(CommandLineTest, SecAggPrintsTheSparseGraphOfALargeGroup) {
  Subprocess honest = SparseGraph({"--nodes", "1000", "--corrupt", "0.33", "--dropout", "0.33",
                                   "--adversary", "semi_honest", "--json"});
  ASSERT_EQ(honest.WaitForExit(), 0) << honest.standard_error();
  EXPECT_EQ(
      nlohmann::json::parse(honest.standard_output()),
      nlohmann::json({{"nodes", 1000}, {"degree", 286}, {"threshold", 150}, {"graph", "harary"}}));

  Subprocess malicious = SparseGraph({"--nodes", "6", "--corrupt", "0.4", "--dropout", "0.17",
                                      "--adversary", "semi_malicious", "--json"});
  ASSERT_EQ(malicious.WaitForExit(), 0) << malicious.standard_error();
  EXPECT_EQ(nlohmann::json::parse(malicious.standard_output())["graph"], "complete");

  Subprocess table = SparseGraph({"--nodes", "100", "--corrupt", "0.1", "--dropout", "0.1"});
  ASSERT_EQ(table.WaitForExit(), 0) << table.standard_error();
  EXPECT_THAT(table.standard_output(),
              AllOf(HasSubstr("semi_malicious"), HasSubstr("harary"), HasSubstr("degree      32"),
                    HasSubstr("threshold   22")));
}

TEST_F(CommandLineTest, SecAggSaysWhyThereIsNoGraph) {
  Subprocess infeasible = SparseGraph({"--nodes", "1000", "--corrupt", "0.33", "--dropout", "0.33",
                                       "--adversary", "semi_malicious", "--json"});

  EXPECT_EQ(infeasible.WaitForExit(), 2);
  EXPECT_EQ(infeasible.standard_output(), "");
  EXPECT_THAT(infeasible.standard_error(), HasSubstr("corrupt + 2 x dropout must be at most 0.9"));
}

TEST_F(CommandLineTest, AgentRefusesAPlainJobUnlessItsPolicyAllowsIt) {
  Deployment deployment({.nodes = 8, .processes = 1});
  deployment.StartCoordinator(SmallJob());
  Subprocess agent({AgentProgram(), "run", "--coordinator", deployment.endpoint(),
                    "--virtual-nodes", "0-7", "--process", "process-0", "--keys",
                    deployment.key_folder() + "/process-0", "--once"});

  EXPECT_EQ(agent.WaitForExit(), 1) << agent.standard_error();
  EXPECT_THAT(agent.standard_error(), HasSubstr("policy.allow_plain"));
}

// An agent of process-0 with its own copy of the roster and perhaps its hash; `--coordinator` is
// never reached.
class PinnedRosterTest : public CommandLineTest {
 protected:
  Subprocess Agent(const std::string& roster, const std::string& hash = "") {
    const std::string keys = deployment_.key_folder() + "/process-0";
    std::string nodes;
    for (int node = 0; node < 8; ++node) {
      nodes += fmt::format("  - {{id: node-{:04}, data: {{id: fashion}}}}\n", node);
    }
    EXPECT_OK(WriteFileAtomically(folder_ / "roster.txt", roster));
    EXPECT_OK(WriteFileAtomically(
        folder_ / "agent.yaml",
        fmt::format("version: 1\nidentity: {{process: process-0, keys: {}, roster: {}{}}}\n"
                    "coordinator: {{address: \"ipc://{}\"}}\nnodes:\n{}",
                    keys, std::string(folder_ / "roster.txt"),
                    hash.empty() ? "" : ", roster_sha256: " + hash, deployment_.Path("nobody"),
                    nodes)));
    return Subprocess({AgentProgram(), "run", folder_ / "agent.yaml"});
  }
  std::string Roster() {
    const auto text = ReadFile(deployment_.roster_path(), 1 << 20);
    EXPECT_OK(text);
    return text.ok() ? *text : "";
  }
  Deployment deployment_{{.nodes = 8, .processes = 1}};
};

TEST_F(PinnedRosterTest, RosterThatIsNotTheOneThatWasCheckedIsRefused) {
  Subprocess agent = Agent(Roster(), std::string(64, 'a'));

  EXPECT_EQ(agent.WaitForExit(), 2);
  EXPECT_THAT(agent.standard_error(), AllOf(HasSubstr("the roster's SHA-256 is"),
                                            HasSubstr("identity.roster_sha256 says aaaa")));
}

TEST_F(PinnedRosterTest, RosterWithoutTheNodesHostedHereIsRefused) {
  Subprocess agent = Agent("");

  EXPECT_EQ(agent.WaitForExit(), 2);
  EXPECT_THAT(agent.standard_error(), HasSubstr("does not name node"));
}

TEST_F(PinnedRosterTest, RosterWithAnotherKeyForANodeHostedHereIsRefused) {
  Deployment other({.nodes = 8, .processes = 1});
  const auto roster = ReadFile(other.roster_path(), 1 << 20);
  ASSERT_OK(roster);

  Subprocess agent = Agent(*roster);

  EXPECT_EQ(agent.WaitForExit(), 2);
  EXPECT_THAT(agent.standard_error(), HasSubstr("has another key for node"));
}

TEST_F(CommandLineTest, BadUsageExitsWithTwo) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{CoordinatorProgram()},
        {CoordinatorProgram(), "run"},
        {CoordinatorProgram(), "no-such-command"},
        {CoordinatorProgram(), "status", "/no/such/folder"},
        {CoordinatorProgram(), "secagg"},
        {CoordinatorProgram(), "secagg", "--nodes", "2", "--corrupt", "0", "--dropout", "0"},
        {CoordinatorProgram(), "secagg", "--nodes", "9", "--corrupt", "nan", "--dropout", "0"},
        {CoordinatorProgram(), "secagg", "--nodes", "9", "--corrupt", "x", "--dropout", "0"},
        {CoordinatorProgram(), "secagg", "--nodes", "9", "--corrupt", "0", "--dropout", "0",
         "--adversary", "1"},
        {AgentProgram(), "run"},
        {AgentProgram(), "run", "/no/such/agent.yaml"}}) {
    Subprocess process(arguments);
    EXPECT_EQ(process.WaitForExit(), 2) << process.standard_error();
  }
}

TEST_F(CommandLineTest, StatusShowsARunningJobAndWhatItWaitsFor) {
  Deployment deployment({.nodes = 8, .processes = 1});
  deployment.StartCoordinator(SmallJob());
  ASSERT_TRUE(deployment.coordinator().WaitForText("round 1 of 3: training"));
  std::string text;
  // status.json follows within the second; until then status says what run.db knows.
  for (int i = 0; i < 1000 && text.find("waiting") == std::string::npos; ++i) {
    Subprocess status({CoordinatorProgram(), "status", deployment.run_dir()});
    ASSERT_EQ(status.WaitForExit(), 0) << status.standard_error();
    text = status.standard_output();
  }

  EXPECT_THAT(text, AllOf(HasSubstr("round 1 of 3"), HasSubstr("waiting")));
}

}  // namespace
}  // namespace skerry
