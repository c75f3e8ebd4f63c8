#include "tests/e2e/deployment.h"

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/status.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

constexpr size_t kFileBytesMax = 64 << 20;

}  // namespace

std::string CoordinatorProgram() { return SKERRY_BINARY_DIR "/bin/skerry-coordinator"; }
std::string AgentProgram() { return SKERRY_BINARY_DIR "/bin/skerry-agent"; }

std::string SmallJob() {
  return R"(version: 1
seed: 7
model: {name: mlp}
data: {id: fashion, dataset: fashion_mnist, examples_max: 800, partition: {scheme: iid}}
training: {local_epochs: 1, batch_size: 20, optimizer: {name: sgd, learning_rate: 0.1}}
round: {count: 3, nodes: 8, quorum: 6, stall_timeout_ms: 20000, wait_timeout_ms: 120000}
evaluation: {every_rounds: 0}
)";
}

Deployment::Deployment(Options options) : options_(options) {
  Subprocess keys({CoordinatorProgram(), "keys", "throw-away", "--nodes",
                   std::to_string(options_.nodes), "--processes",
                   std::to_string(options_.processes), "--out", key_folder()});
  EXPECT_EQ(keys.WaitForExit(), 0) << keys.standard_error();
}

void Deployment::StartCoordinator(const std::string& job, std::vector<std::string> arguments) {
  EXPECT_OK(WriteFileAtomically(Path("job.yaml"), job));
  Start({"run", Path("job.yaml"), "--run-dir", run_dir()}, std::move(arguments));
}

void Deployment::StartRehearsal(const std::string& job, std::vector<std::string> arguments) {
  EXPECT_OK(WriteFileAtomically(Path("job.yaml"), job));
  Start({"rehearse", Path("job.yaml")}, std::move(arguments));
}

void Deployment::Start(std::vector<std::string> command, std::vector<std::string> arguments) {
  // A restarted coordinator listens where its agents know it.
  if (listen_.empty()) {
    listen_ = options_.link == Link::kTcp ? "tcp://127.0.0.1:0" : "ipc://" + Path("socket");
  }
  command.insert(command.begin(), CoordinatorProgram());
  for (const std::string& argument :
       {std::string("--json"), std::string("--listen"), listen_, std::string("--keys"),
        key_folder(), std::string("--roster"), roster_path(), std::string("--endpoint-file"),
        Path("endpoint")}) {
    command.push_back(argument);
  }
  command.insert(command.end(), arguments.begin(), arguments.end());
  coordinator_ = std::make_unique<Subprocess>(std::move(command));
  ASSERT_TRUE(coordinator_->WaitForText("listening on")) << coordinator_->standard_error();
  const size_t at = coordinator_->standard_error().find("listening on ") + 13;
  ASSERT_TRUE(coordinator_->WaitForText("\n"));
  endpoint_ =
      coordinator_->standard_error().substr(at, coordinator_->standard_error().find('\n', at) - at);
  listen_ = endpoint_;
}

void Deployment::StartAgent(int process, std::vector<std::string> arguments) {
  const int first = process * options_.nodes / options_.processes;
  const int last = (process + 1) * options_.nodes / options_.processes - 1;
  std::vector<std::string> command = {
      AgentProgram(),    "run",
      "--coordinator",   dialled_.contains(process) ? dialled_.at(process) : endpoint_,
      "--virtual-nodes", fmt::format("{}-{}", first, last),
      "--process",       fmt::format("process-{}", process),
      "--keys",          fmt::format("{}/process-{}", key_folder(), process),
      "--server-key",    key_folder() + "/coordinator.pub",
      "--roster",        roster_path(),
      "--allow-plain",   "--allow-coordinator-noise",
      "--cohort-min",    "1",
      "--spool",         Path(""),
      "--once"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  agents_[process] = std::make_unique<Subprocess>(std::move(command));
}

void Deployment::StartAllAgents() {
  for (int process = 0; process < options_.processes; ++process) StartAgent(process);
}

nlohmann::json Deployment::Result() {
  coordinator_->WaitForExit();
  auto json = nlohmann::json::parse(coordinator_->standard_output(), nullptr, false);
  EXPECT_TRUE(json.is_object()) << coordinator_->standard_output()
                                << coordinator_->standard_error();
  return json;
}

std::string Deployment::Report() const {
  const auto text = ReadFile(run_dir() + "/report.html", kFileBytesMax);
  EXPECT_OK(text);
  return text.ok() ? *text : "";
}

}  // namespace skerry
