// One job between real processes that are killed, stopped and cut off: a coordinator that is
// restarted with --resume, and agents that each reach it through a network of their own. Keeps what
// all processes said, and checks at the end that nothing was lost.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/chaos_proxy.h"

namespace skerry {

struct ChaosJob {
  std::string name;  // for tables
  std::string text;
  std::vector<std::string> overrides{};  // "--set", "a=b", ...
  bool is_private = false;
  Deployment::Link link = Deployment::Link::kTcp;
  int processes = 4;
  int rounds = 10;
};

// Eight nodes, of which six are enough: mlp, plain or masked.
ChaosJob PlainJob(int rounds);
ChaosJob MaskedJob(int rounds);
// cnn_small, masked, with noise of the nodes.
ChaosJob PrivateJob(int rounds);

class ChaosCluster {
 public:
  ChaosCluster(ChaosJob job, uint64_t seed);

  int processes() const { return job_.processes; }
  ChaosProxy& network(int process) { return *networks_.at(static_cast<size_t>(process)); }
  Subprocess& coordinator() { return deployment_.coordinator(); }
  Subprocess& agent(int process) { return deployment_.agent(process); }

  // Reads what the processes say for so long.
  void Watch(std::chrono::milliseconds duration);
  // The same until `text` was said once more than now, by the coordinator or by agent `process`.
  // False if the coordinator ended before; fails the test if nothing happens for minutes.
  bool WatchUntilCoordinatorSays(const std::string& text);
  bool WatchUntilAgentSays(int process, const std::string& text);
  bool has_ended() const { return has_ended_; }

  // kill -9, and what the run directory then says of the round that was under way.
  std::string KillCoordinator();
  void ResumeCoordinator();
  void RestartAgent(int process);

  // Lets the run end, then checks: it completed or its budget is spent; with privacy off a replay
  // of the recorded survivors gives the same model; with privacy on both sides' ledgers hold every
  // release; nobody was trained twice for one attempt by one process.
  void ExpectNothingLost();
  RunHistory History() const;

  int coordinator_kills() const { return coordinator_kills_; }
  int agent_kills() const { return agent_kills_; }
  // Resident memory of the coordinator, sampled at each committed round.
  const std::vector<double>& memory_mib() const { return memory_mib_; }

 private:
  void StartAgent(int process);
  void Collect(int process);
  bool WatchUntil(Subprocess& process, const std::string& text);
  void SampleMemory();
  void ExpectReplayGivesTheModel(const std::string& sha256);
  void ExpectLedgersHoldEveryRelease();
  void ExpectNoTrainingTwice() const;

  ChaosJob job_;
  uint64_t seed_;
  Deployment deployment_;
  std::vector<std::unique_ptr<ChaosProxy>> networks_;
  std::vector<std::string> agent_words_;  // of processes that have ended, each
  bool has_ended_ = false;
  int coordinator_kills_ = 0;
  int agent_kills_ = 0;
  size_t rounds_seen_ = 0;  // of the present coordinator
  std::vector<double> memory_mib_;
};

}  // namespace skerry
