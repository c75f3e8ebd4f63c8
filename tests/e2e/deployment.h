// A coordinator and agents as real processes over loopback, with throw-away identities in a folder
// of the test's own. No fixed ports: the system chooses, the coordinator writes the address down.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/subprocess.h"
#include "tests/support/temporary_directory.h"

namespace skerry {

// A small job on real images: 8 nodes, mlp, 800 images, 3 rounds. A node that is slow to start on a
// busy machine is waited for, so that who takes part does not depend on the machine.
std::string SmallJob();

class Deployment {
 public:
  enum class Link { kIpc, kTcp };
  struct Options {
    int nodes = 8;
    int processes = 2;
    Link link = Link::kIpc;
  };
  explicit Deployment(Options options);

  // Starts the coordinator on the job text (with --json) and waits until it listens.
  // `arguments` are added to `run`.
  void StartCoordinator(const std::string& job, std::vector<std::string> arguments = {});
  // The same for `rehearse`, which keeps no run.
  void StartRehearsal(const std::string& job, std::vector<std::string> arguments = {});
  // Where the p-th agent process dials from now on, in place of the coordinator's own address.
  void DialInstead(int process, std::string address) { dialled_[process] = std::move(address); }
  // The agent process that hosts the p-th share of the nodes.
  void StartAgent(int process, std::vector<std::string> arguments = {});
  void StartAllAgents();

  Subprocess& coordinator() { return *coordinator_; }
  Subprocess& agent(int process) { return *agents_.at(process); }
  // Waits for the coordinator's end and returns what it printed; fails the test if that is no JSON.
  nlohmann::json Result();

  std::string run_dir() const { return folder_ / "run"; }
  std::string Path(const std::string& name) const { return folder_ / name; }
  std::string roster_path() const { return folder_ / "keys/roster.txt"; }
  std::string key_folder() const { return folder_ / "keys"; }
  const std::string& endpoint() const { return endpoint_; }
  // report.html as text.
  std::string Report() const;

 private:
  void Start(std::vector<std::string> command, std::vector<std::string> arguments);

  Options options_;
  TemporaryDirectory folder_;
  std::string endpoint_;
  std::string listen_;
  std::map<int, std::string> dialled_;
  std::unique_ptr<Subprocess> coordinator_;
  std::map<int, std::unique_ptr<Subprocess>> agents_;
};

std::string CoordinatorProgram();
std::string AgentProgram();

}  // namespace skerry
