// Many virtual nodes over many rounds between real processes, a fifth of them failing at any time:
// does the coordinator's memory stay what it was? No training.
//
//   skerry_scale_bench [plain] [masked] [ring] [registered]     all without arguments
#include <algorithm>
#include <cstdio>
#include <signal.h>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "coordinator/store/run_history.h"
#include "tests/bench/echo_job.h"
#include "tests/bench/median.h"
#include "tests/e2e/deployment.h"

namespace skerry {
namespace {

using std::chrono::milliseconds;

// Memory at the end is held against that after so many rounds.
constexpr int kWarmRounds = 10;

struct Load {
  const char* part;
  const char* name;
  int nodes;
  int processes;
  int rounds;
  double failing;     // share of the processes in each round
  double kill_share;  // of the failures: kill -9 with a restart; the others are stopped
  int within_ms;      // of the round's begin, each at a time of its own
  int stall_ms;
  std::vector<std::string> settings;
};

const std::vector<Load>& Loads() {
  static const std::vector<Load> loads = {
      {"plain", "1,000 nodes, plain", 1000, 20, 200, 0.2, 0.05, 30, 500, {"round.quorum=600"}},
      {"masked",
       "64 nodes, masked",
       64,
       16,
       200,
       0.2,
       0.05,
       30,
       500,
       {"round.quorum=40", "secagg.enabled=true", "secagg.colluders=4",
        "secagg.dropout_tolerance=14"}},
      {"ring",
       "1,000 nodes, masked, ring",
       1000,
       20,
       3,
       0.2,
       1,
       12'000,
       15'000,
       {"round.quorum=700", "secagg.enabled=true", "secagg.colluders=20",
        "secagg.dropout_tolerance=300"}},
      {"registered",
       "10,000 registered, 1,000 sampled",
       10'000,
       4,
       20,
       0,
       0,
       0,
       60'000,
       {"round.quorum=900", "round.cohort_fraction=0.1"}},
  };
  return loads;
}

double ResidentMib(int pid) {
  const auto status = ReadFile(fmt::format("/proc/{}/status", pid), 1 << 16);
  if (!status.ok()) return 0;
  const size_t at = status->find("VmRSS:");
  return at == std::string::npos ? 0 : std::stod(status->substr(at + 6)) / 1024;
}

class LoadedRun {
 public:
  LoadedRun(const Load& load, const std::string& data)
      : load_(load),
        deployment_({.nodes = load.nodes, .processes = load.processes}),
        rng_(Rng::Derive(1, load.part)) {
    std::vector<std::string> arguments = {"--set",
                                          fmt::format("round.stall_timeout_ms={}", load.stall_ms)};
    for (const std::string& setting : load.settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    deployment_.StartCoordinator(EchoJob(data, 2, load.nodes, load.rounds, 50), arguments);
    for (int process = 0; process < load.processes; ++process) Start(process);
  }

  void Run() {
    const Instant begun = SystemClock().Now();
    double warm_mib = 0;
    double last_mib = 0;
    int done = 0;
    Subprocess& coordinator = deployment_.coordinator();
    while (done < load_.rounds && WaitForRound(done + 1)) {
      ++done;
      if (const double mib = ResidentMib(coordinator.pid()); mib > 0) last_mib = mib;
      if (done <= kWarmRounds) warm_mib = last_mib;
      Recover();
      if (done < load_.rounds) Fail();
    }
    const nlohmann::json result = deployment_.Result();
    if (result.value("status", "") != "completed") {
      std::printf("%-34s FAILED after %d rounds: %s\n", load_.name, done,
                  coordinator.standard_error()
                      .substr(coordinator.standard_error().size() -
                              std::min<size_t>(1000, coordinator.standard_error().size()))
                      .c_str());
      return;
    }
    Report(Seconds(SystemClock().Now() - begun), warm_mib, last_mib);
  }

 private:
  void Start(int process) {
    deployment_.StartAgent(process, {"--quiet", "--colluders-min", "0", "--survivors-min", "1"});
  }

  // Whoever is stopped comes back after some seconds at the latest: the round may need them.
  bool WaitForRound(int round) {
    const std::string text = fmt::format("round {} of {} done", round, load_.rounds);
    Subprocess& coordinator = deployment_.coordinator();
    while (!coordinator.WaitForText(text, 1, std::chrono::seconds(3))) {
      Recover();
      if (!coordinator.ReadFor(milliseconds(1))) return false;
    }
    return true;
  }

  void Recover() {
    for (const int process : stopped_) deployment_.agent(process).Signal(SIGCONT);
    stopped_.clear();
  }

  // Somewhere in the round that has begun, some of the processes fail.
  void Fail() {
    if (load_.failing == 0) return;
    std::vector<int> all(static_cast<size_t>(load_.processes));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
    rng_.Shuffle(all);
    all.resize(static_cast<size_t>(load_.failing * load_.processes));
    std::vector<uint64_t> times;
    for (size_t i = 0; i < all.size(); ++i) {
      times.push_back(rng_.Below(static_cast<uint64_t>(load_.within_ms)));
    }
    std::sort(times.begin(), times.end());
    for (size_t i = 0; i < all.size(); ++i) {
      const int process = all[i];
      deployment_.coordinator().ReadFor(milliseconds(times[i] - (i == 0 ? 0 : times[i - 1])));
      ++failures_;
      if (rng_.Uniform() < load_.kill_share) {
        ++kills_;
        deployment_.agent(process).Signal(SIGKILL);
        deployment_.agent(process).WaitForExit();
        Start(process);
      } else {
        deployment_.agent(process).Signal(SIGSTOP);
        stopped_.push_back(process);
      }
    }
  }

  void Report(double wall_s, double warm_mib, double last_mib) {
    const auto history = ReadRunHistory(deployment_.run_dir());
    SKERRY_ASSERT(history.ok());
    std::vector<double> seconds;
    size_t invited = 0;
    size_t accepted = 0;
    for (const RoundHistory& round : history->rounds) {
      seconds.push_back(Seconds(round.traffic.wall));
      invited += round.committed.participants.size();
      accepted += static_cast<size_t>(
          std::count_if(round.committed.participants.begin(), round.committed.participants.end(),
                        [](const ParticipantRecord& participant) {
                          return participant.participation == Participation::kAccepted;
                        }));
    }
    std::printf("%-34s %6zu %8.0f %9.2f %8.1f %% %6d %6d %9.1f %9.1f %+8.1f %%\n", load_.name,
                history->rounds.size(), wall_s, Median(seconds),
                100 * static_cast<double>(invited - accepted) / static_cast<double>(invited),
                failures_, kills_, warm_mib, last_mib, 100 * (last_mib / warm_mib - 1));
    std::fflush(stdout);
  }

  const Load& load_;
  Deployment deployment_;
  Rng rng_;
  std::vector<int> stopped_;
  int failures_ = 0;
  int kills_ = 0;
};

}  // namespace
}  // namespace skerry

int main(int argc, char** argv) {
  using namespace skerry;
  const std::vector<std::string> parts(argv + 1, argv + argc);
  const TemporaryDirectory folder;
  const std::string data = TinyImages(folder, 16'384);  // a row for each node at least
  std::printf(
      "\nCoordinator's memory over many rounds, 1,570 parameters, no training (goal: within 5 %%)\n"
      "%-34s %6s %8s %9s %10s %6s %6s %9s %9s %10s\n",
      "", "rounds", "seconds", "median", "cut", "stops", "kills", "MiB, 10", "MiB, end", "growth");
  for (const Load& load : Loads()) {
    if (parts.empty() || std::find(parts.begin(), parts.end(), load.part) != parts.end()) {
      LoadedRun(load, data).Run();
    }
  }
  return 0;
}
