// A rehearsal between real processes: every phase, nothing learned, nothing charged, and whoever is
// not ready is named with what to do.
#include <filesystem>

#include "common/base/file.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

// Private and masked, so that there is something to charge and to open.
std::string PrivateJob() {
  return R"(version: 1
seed: 7
model: {name: cnn_small}
data: {id: fashion, dataset: fashion_mnist, examples_max: 800, partition: {scheme: iid}}
strategy: {name: fedavg, learning_rate: 0.5}
round: {count: 40, nodes: 8, quorum: 5}
privacy:
  enabled: true
  placement: distributed
  epsilon: 4.0
  delta: 1.0e-5
  clip_norm: 0.1
  records: 800
  sampling: {rate: 0.1}
secagg: {enabled: true, colluders: 2, dropout_tolerance: 2, min_survivors: 5}
evaluation: {every_rounds: 0}
)";
}

std::vector<std::string> LedgersIn(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().filename().string().find("ledger") != std::string::npos &&
        std::filesystem::file_size(entry.path()) > 0) {
      found.push_back(entry.path().string());
    }
  }
  return found;
}

struct Ended {
  int exit_code;
  nlohmann::json findings;
};

Ended EndOf(Deployment& deployment) {
  Ended ended{.exit_code = deployment.coordinator().WaitForExit(), .findings = {}};
  ended.findings =
      nlohmann::json::parse(deployment.coordinator().standard_output(), nullptr, false);
  EXPECT_TRUE(ended.findings.is_object())
      << deployment.coordinator().standard_output() << deployment.coordinator().standard_error();
  return ended;
}

TEST(RehearsalTest, EveryPhaseIsDoneAndNothingIsChargedOrKept) {
  Deployment deployment({.nodes = 8, .processes = 2, .link = Deployment::Link::kTcp});
  deployment.StartRehearsal(PrivateJob());
  deployment.StartAllAgents();

  const auto [exit_code, result] = EndOf(deployment);

  EXPECT_EQ(exit_code, 0) << result << deployment.coordinator().standard_error();
  EXPECT_TRUE(result.value("sound", false));
  EXPECT_EQ(result.value("upload_mb", 0.0), 26'010 * 4 / 1e6);
  ASSERT_EQ(result["nodes"].size(), 8u);
  for (const auto& node : result["nodes"]) {
    EXPECT_EQ(node.value("outcome", ""), "accepted");
    EXPECT_EQ(node.value("finding", "?"), "");
    EXPECT_GE(node.value("ready_s", -1.0), 0.0);
  }
  EXPECT_THAT(deployment.coordinator().standard_error(), HasSubstr("round 1 of 1"));
  for (int process = 0; process < 2; ++process) {
    EXPECT_EQ(deployment.agent(process).WaitForExit(), 0);
  }
  EXPECT_THAT(LedgersIn(deployment.key_folder()), testing::IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(deployment.run_dir()));
}

TEST(RehearsalTest, WhoIsAbsentOrRefusesIsNamedWithWhatToDo) {
  Deployment deployment({.nodes = 8, .processes = 4});
  deployment.StartRehearsal(PrivateJob(), {"--wait", "20"});
  deployment.StartAgent(0);
  deployment.StartAgent(1);
  deployment.StartAgent(2, {"--epsilon-total", "0.001"});  // and the fourth is away

  const auto [exit_code, result] = EndOf(deployment);

  EXPECT_EQ(exit_code, 1);
  EXPECT_FALSE(result.value("sound", true));
  EXPECT_NE(result.value("failure", ""), "");
  for (const auto& node : result["nodes"]) {
    const std::string process = node.value("process", "");
    const std::string finding = node.value("finding", "");
    if (process == "process-3") {
      EXPECT_FALSE(node.value("joined", true));
      EXPECT_THAT(finding, HasSubstr("never joined: start its agent"));
    } else if (process == "process-2") {
      EXPECT_EQ(node.value("outcome", ""), "failed");
      EXPECT_THAT(finding, HasSubstr("policy"));
    }
  }
}

TEST(RehearsalTest, AJobFileCannotCallItselfARehearsal) {
  const TemporaryDirectory folder;
  ASSERT_OK(WriteFileAtomically(folder / "job.yaml", PrivateJob() + "rehearsal: true\n"));
  ASSERT_OK(WriteFileAtomically(folder / "roster.txt", ""));
  Subprocess run({CoordinatorProgram(), "run", folder / "job.yaml", "--run-dir", folder / "run",
                  "--roster", folder / "roster.txt", "--listen",
                  std::string("ipc://") + (folder / "socket")});

  EXPECT_EQ(run.WaitForExit(), 2);
  EXPECT_THAT(run.standard_error(), HasSubstr("use `skerry-coordinator rehearse"));
}

}  // namespace
}  // namespace skerry
