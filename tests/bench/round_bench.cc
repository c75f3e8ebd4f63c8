// Measures whole rounds with the real programs and prints tables. The peer's figures are Flower's
// on the same kind of machine (classic gRPC path / present path).
//
//   skerry_round_bench [rounds] [small] [nodes] [training] [startup]     all without arguments
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <sys/resource.h>
#include <vector>

#include <fmt/format.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/config/job_loader.h"
#include "common/ml/compute.h"
#include "coordinator/store/run_history.h"
#include "tests/bench/echo_job.h"
#include "tests/bench/median.h"
#include "tests/e2e/deployment.h"
#include "tests/support/fedavg_reference.h"

namespace skerry {
namespace {

using Link = Deployment::Link;

struct Outcome {
  std::vector<double> round_seconds;  // without the first
  double coordinator_peak_mib = 0;
  double agent_peak_mib = 0;  // the largest
  double cpu_seconds = 0;     // of all processes
  double joined_after_s = 0;  // from the agents' start to the first round's task
};

Outcome Run(const std::string& job, Deployment::Options options,
            std::vector<std::string> arguments = {}) {
  Deployment deployment(options);
  deployment.StartCoordinator(job, std::move(arguments));
  // Quiet, because nobody reads their pipes meanwhile.
  for (int process = 0; process < options.processes; ++process) {
    deployment.StartAgent(process, {"--quiet"});
  }
  const nlohmann::json result = deployment.Result();
  SKERRY_ASSERT(result.value("status", "") == "completed");
  Outcome outcome;
  outcome.coordinator_peak_mib = deployment.coordinator().peak_memory_mib();
  outcome.cpu_seconds = deployment.coordinator().cpu_seconds();
  for (int process = 0; process < options.processes; ++process) {
    deployment.agent(process).WaitForExit();
    outcome.cpu_seconds += deployment.agent(process).cpu_seconds();
    outcome.agent_peak_mib =
        std::max(outcome.agent_peak_mib, deployment.agent(process).peak_memory_mib());
  }
  const auto history = ReadRunHistory(deployment.run_dir());
  SKERRY_ASSERT(history.ok());
  for (size_t i = 1; i < history->rounds.size(); ++i) {
    outcome.round_seconds.push_back(Seconds(history->rounds[i].traffic.wall));
  }
  return outcome;
}

void BenchRounds(const std::string& data) {
  struct Size {
    const char* name;
    int64_t outputs;
    int rounds;
    const char* peer;
    const char* goal;
  };
  const Size sizes[] = {{"1 M", 1274, 12, "0.155-0.22 / 6.3", "0.12, 0.04"},
                        {"10 M", 12739, 6, "3.0 / 11.5", "1.2, 0.4"},
                        {"50 M", 63694, 4, "27.9", "6, 2"}};
  const Outcome idle =
      Run(EchoJob(data, 2, 8, 2, 100), {.nodes = 8, .processes = 8, .link = Link::kIpc});
  std::printf("\nRound with 8 agent processes that return the model untouched; seconds, median\n");
  std::printf("%-6s %10s %10s   %-18s %-12s %s\n", "size", "tcp+CURVE", "ipc", "peer, in clear",
              "goal", "coordinator peak above idle (goal)");
  for (const Size& size : sizes) {
    const std::string job = EchoJob(data, size.outputs, 8, size.rounds, 100);
    const Outcome tcp = Run(job, {.nodes = 8, .processes = 8, .link = Link::kTcp});
    const Outcome ipc = Run(job, {.nodes = 8, .processes = 8, .link = Link::kIpc});
    const double model_mib = static_cast<double>(size.outputs) * 785 * 4 / (1 << 20);
    std::printf("%-6s %10.3f %10.3f   %-18s %-12s %.0f MiB tcp, %.0f ipc (%.0f)\n", size.name,
                Median(tcp.round_seconds), Median(ipc.round_seconds), size.peer, size.goal,
                tcp.coordinator_peak_mib - idle.coordinator_peak_mib,
                ipc.coordinator_peak_mib - idle.coordinator_peak_mib, 4 * model_mib + 64);
    std::fflush(stdout);
  }
  std::printf("\nCoordinator peak, 10 M parameters, ipc, 4 processes (goal: within 5 %%)\n");
  for (const int nodes : {8, 32, 128}) {
    const Outcome outcome = Run(EchoJob(data, 12739, nodes, 3, 100),
                                {.nodes = nodes, .processes = 4, .link = Link::kIpc});
    std::printf("%4d nodes %8.0f MiB\n", nodes, outcome.coordinator_peak_mib);
    std::fflush(stdout);
  }
}

void BenchSmall(const std::string& data) {
  std::printf(
      "\nRounds a second, 26 k parameters, 8 agent processes, no training (goal 200; peer "
      "37 / 0.16)\n");
  for (const Link link : {Link::kTcp, Link::kIpc}) {
    const Outcome outcome =
        Run(EchoJob(data, 33, 8, 400, 100), {.nodes = 8, .processes = 8, .link = link});
    std::printf("%-10s %8.0f\n", link == Link::kTcp ? "tcp+CURVE" : "ipc",
                1 / Median(outcome.round_seconds));
    std::fflush(stdout);
  }
}

void BenchNodes(const std::string& data) {
  std::printf(
      "\nNodes a second, 1,000 nodes in 2 processes, 10 k parameters, no training (goal "
      "20,000 over ipc; peer 1,400 in process)\n");
  for (const Link link : {Link::kTcp, Link::kIpc}) {
    const Outcome outcome =
        Run(EchoJob(data, 13, 1000, 20, 100), {.nodes = 1000, .processes = 2, .link = link});
    std::printf("%-10s %8.0f   agent peak %.0f MiB, coordinator %.0f MiB\n",
                link == Link::kTcp ? "tcp+CURVE" : "ipc", 1000 / Median(outcome.round_seconds),
                outcome.agent_peak_mib, outcome.coordinator_peak_mib);
    std::fflush(stdout);
  }
}

// `cnn` on Fashion-MNIST, one epoch over 12,000 images a round.
std::string CnnJob(int nodes, bool is_masked) {
  return fmt::format(R"(version: 1
seed: 1
model: {{name: cnn}}
data: {{id: fashion, dataset: fashion_mnist, partition: {{scheme: iid}}, examples_max: 12000}}
training: {{local_epochs: 1, batch_size: 32, optimizer: {{name: sgd, learning_rate: 0.1}}}}
round: {{count: 3, nodes: {0}, quorum: {0}}}
secagg: {{enabled: {1}}}
evaluation: {{every_rounds: 0}}
storage: {{checkpoint_every: 100, keep_models: 1}}
)",
                     nodes, is_masked);
}

void BenchOverhead() {
  std::printf(
      "\nRound with and without secure aggregation, cnn (1.7 M parameters), 12,000 images, 2 agent "
      "processes over ipc;\nmedian of 4 rounds each, taken in turn (goal: at most 10 %% more)\n");
  std::printf("%-6s %9s %9s %9s\n", "nodes", "plain s", "secure s", "ratio");
  for (const int nodes : {8, 16}) {
    std::vector<double> plain;
    std::vector<double> secure;
    for (int pair = 0; pair < 2; ++pair) {
      for (std::vector<double>* times : {&plain, &secure}) {
        const Outcome outcome = Run(CnnJob(nodes, times == &secure),
                                    {.nodes = nodes, .processes = 2, .link = Link::kIpc});
        times->insert(times->end(), outcome.round_seconds.begin(), outcome.round_seconds.end());
      }
    }
    std::printf("%-6d %9.2f %9.2f %9.3f\n", nodes, Median(plain), Median(secure),
                Median(secure) / Median(plain));
    std::fflush(stdout);
  }
}

double OwnCpuSeconds() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// CPU seconds of a round, by the difference of a long and a short run: loading cancels out.
void BenchTraining() {
  const std::string job = R"(version: 1
seed: 1
model: {name: cnn}
data: {id: fashion, dataset: fashion_mnist, examples_max: 8000, partition: {scheme: iid}}
training: {local_epochs: 1, batch_size: 32, optimizer: {name: sgd, learning_rate: 0.05}}
round: {count: 3, nodes: 8, quorum: 8}
evaluation: {every_rounds: 0}
)";
  const auto distributed = [&](Link link) {
    const auto cpu = [&](const char* rounds) {
      return Run(job, {.nodes = 8, .processes = 2, .link = link},
                 {"--set", std::string("round.count=") + rounds})
          .cpu_seconds;
    };
    const double one = cpu("1");
    return (cpu("3") - one) / 2;
  };
  const auto bare = [&] {
    const auto parsed = ParseJob(job, "job");
    SKERRY_ASSERT(parsed.ok());
    std::vector<std::string> nodes;
    for (int i = 0; i < 8; ++i) nodes.push_back(fmt::format("node-{:04}", i));
    // One thread, like each worker: threads that spin for work would count as the baseline's cost.
    PrepareCompute(1);
    const auto cpu = [&](int64_t rounds) {
      const double before = OwnCpuSeconds();
      SKERRY_ASSERT(ReferenceFedAvg(*parsed, nodes, rounds).ok());
      return OwnCpuSeconds() - before;
    };
    const double one = cpu(1);
    return (cpu(3) - one) / 2;
  };
  std::printf(
      "\nOne round of real training: cnn, 8 nodes, 1,000 images each; CPU seconds against "
      "bare LibTorch loops (goals 1.10, 1.04)\n");
  std::vector<double> tcp_ratios;
  std::vector<double> ipc_ratios;
  for (int i = 0; i < 5; ++i) {
    const double loop = bare();
    const double tcp = distributed(Link::kTcp);
    const double ipc = distributed(Link::kIpc);
    tcp_ratios.push_back(tcp / loop);
    ipc_ratios.push_back(ipc / loop);
    std::printf("  bare %.2f s, tcp %.2f s, ipc %.2f s\n", loop, tcp, ipc);
    std::fflush(stdout);
  }
  std::printf("median of 5: tcp %.3f, ipc %.3f\n", Median(tcp_ratios), Median(ipc_ratios));
}

double ResidentMib(int pid) {
  const auto status = ReadFile(fmt::format("/proc/{}/status", pid), 1 << 16);
  SKERRY_ASSERT(status.ok());
  const size_t at = status->find("VmRSS:");
  return std::atof(status->c_str() + at + 6) / 1024;
}

void BenchStartup(const std::string& data) {
  std::printf(
      "\nAgent process (goals: start to joined 1 s, idle 180 MiB, 64 KiB a further node)\n");
  double one_node_mib = 0;
  for (const int nodes : {1, 4'000}) {
    // A few are in each round; the others are registered and wait.
    Deployment deployment({.nodes = nodes, .processes = 1, .link = Link::kIpc});
    deployment.StartCoordinator(
        EchoJob(data, 13, nodes, 10'000, 10'000),
        {"--set", fmt::format("round.cohort_fraction={}", nodes == 1 ? 1.0 : 0.001), "--set",
         "round.quorum=1"});
    const Instant start = SystemClock().Now();
    deployment.StartAgent(0);
    SKERRY_ASSERT(deployment.agent(0).WaitForText("joined run"));
    const double joined_s = Seconds(SystemClock().Now() - start);
    SKERRY_ASSERT(deployment.agent(0).WaitForText("round 3:"));
    const double mib = ResidentMib(deployment.agent(0).pid());
    if (nodes == 1) {
      one_node_mib = mib;
      std::printf("start to joined %.2f s, resident %.0f MiB\n", joined_s, mib);
    } else {
      std::printf("%d further nodes: %.1f KiB each\n", nodes - 1,
                  (mib - one_node_mib) * 1024 / (nodes - 1));
    }
    std::fflush(stdout);
  }
}

}  // namespace

int Main(const std::set<std::string>& wanted) {
  const TemporaryDirectory folder;
  const std::string data = TinyImages(folder);
  const auto is_wanted = [&](const char* name) { return wanted.empty() || wanted.contains(name); };
  if (is_wanted("startup")) BenchStartup(data);
  if (is_wanted("small")) BenchSmall(data);
  if (is_wanted("nodes")) BenchNodes(data);
  if (is_wanted("rounds")) BenchRounds(data);
  if (is_wanted("training")) BenchTraining();
  if (is_wanted("overhead")) BenchOverhead();
  return 0;
}

}  // namespace skerry

int main(int argc, char** argv) {
  return skerry::Main(std::set<std::string>(argv + 1, argv + argc));
}
