// kill -9 of real processes, aimed at the phases of a round by what the processes say, and moved on
// from there by a few milliseconds that the seed draws.
#include <cstdlib>
#include <iostream>
#include <map>
#include <tuple>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/rng.h"
#include "tests/e2e/chaos/chaos_cluster.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using std::chrono::milliseconds;

constexpr int kKillsPerJob = 11;
// Whose words are waited for before a kill: the coordinator's at a commit; an agent's when it is
// given a task, and when a node of it has trained and its update begins to move.
constexpr const char* kCommit = " done";
constexpr const char* kTask = "of our nodes train";
constexpr const char* kTrained = " trained";

struct Row {
  int runs = 0;
  int sound = 0;
};
using Table = std::map<std::tuple<std::string, std::string, std::string>, Row>;

void Print(const Table& table) {
  std::cout << fmt::format("{:<16} {:<42} {:<34} {:>5} {:>6}\n", "job", "kill -9 of", "left behind",
                           "kills", "sound");
  Row total;
  for (const auto& [key, row] : table) {
    std::cout << fmt::format("{:<16} {:<42} {:<34} {:>5} {:>6}\n", std::get<0>(key),
                             std::get<1>(key), std::get<2>(key), row.runs, row.sound);
    total.runs += row.runs;
    total.sound += row.sound;
  }
  std::cout << fmt::format("{:<94} {:>5} {:>6}\n", "all", total.runs, total.sound);
}

class RealKillTest : public testing::TestWithParam<int> {};

ChaosJob JobOf(int number) {
  constexpr int kRounds = 4 * kKillsPerJob;
  if (number == 0) return PlainJob(kRounds);
  if (number == 1) return MaskedJob(kRounds);
  return PrivateJob(kRounds);
}

TEST_P(RealKillTest, NothingIsLostAtElevenPlaces) {
  const char* only = std::getenv("SKERRY_TEST_SEED");
  const uint64_t seed = only == nullptr ? 1 : std::strtoull(only, nullptr, 10);
  ChaosJob job = JobOf(GetParam());
  const std::string name = job.name;
  Rng rng = Rng::Derive(seed, "kills of a job that is " + name);
  ChaosCluster cluster(std::move(job), seed);
  Table table;

  for (int kill = 0; kill < kKillsPerJob; ++kill) {
    const int process = static_cast<int>(rng.Below(static_cast<uint64_t>(cluster.processes())));
    const bool is_agent = kill % 4 == 3;
    // An attempt that loses two processes' keys is begun again, three times at most, so there is a
    // commit between any two kills.
    if (!cluster.WatchUntilCoordinatorSays(kCommit)) break;
    const char* trigger = kill % 3 == 0 ? kCommit : kill % 3 == 1 ? kTask : kTrained;
    if (trigger != kCommit && !cluster.WatchUntilAgentSays(process, trigger)) break;
    cluster.Watch(milliseconds(rng.Below(40)));
    if (cluster.has_ended()) break;
    std::string left;
    if (is_agent) {
      cluster.RestartAgent(process);
    } else {
      left = cluster.KillCoordinator();
      cluster.ResumeCoordinator();
    }
    const std::string when = trigger == kCommit ? "after a commit"
                             : trigger == kTask ? "while its nodes train"
                                                : "when a node has trained";
    ++table[{name, fmt::format("{}, {}", is_agent ? "an agent" : "the coordinator", when), left}]
          .runs;
  }
  cluster.ExpectNothingLost();

  for (auto& [key, row] : table) row.sound = HasFailure() ? 0 : row.runs;
  Print(table);
  EXPECT_EQ(cluster.coordinator_kills() + cluster.agent_kills(), kKillsPerJob)
      << "the run ended before all were killed";
}

INSTANTIATE_TEST_SUITE_P(Jobs, RealKillTest, testing::Range(0, 3));

}  // namespace
}  // namespace skerry
