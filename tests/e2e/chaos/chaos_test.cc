// Jobs between real processes while everything around them goes wrong: kills, stops, cut and slow
// and repeating networks, an agent that reads nothing. Each run, an episode, must end as if nothing
// had happened, for the nodes that took part in each round.
//
// SKERRY_CHAOS_MINUTES=m goes on with longer episodes until m minutes are over; SKERRY_TEST_SEED
// chooses other faults (scripts/chaos sets both).
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <signal.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "tests/e2e/chaos/chaos_cluster.h"

namespace skerry {
namespace {

using std::chrono::milliseconds;

enum class Fault {
  kKillCoordinator,
  kKillAgent,
  kStopCoordinator,
  kStopAgent,
  kCut,
  kDelay,
  kBandwidth,
  kRepeat,
  kDeafAgent,
};
constexpr int kFaultCount = 9;

std::string_view Name(Fault fault) {
  switch (fault) {
    case Fault::kKillCoordinator:
      return "coordinator killed";
    case Fault::kKillAgent:
      return "agent killed";
    case Fault::kStopCoordinator:
      return "coordinator stopped for a while";
    case Fault::kStopAgent:
      return "agent stopped for a while";
    case Fault::kCut:
      return "link cut for a while";
    case Fault::kDelay:
      return "link delayed";
    case Fault::kBandwidth:
      return "link limited";
    case Fault::kRepeat:
      return "messages repeated";
    case Fault::kDeafAgent:
      return "agent reads nothing for a while";
  }
  return "";
}

struct EpisodeOptions {
  ChaosJob job;
  uint64_t seed = 0;
  int faults = 0;
  milliseconds fault_max{};  // the longest cut or stop
  // Over TCP a repeated message breaks the encrypted link at once, which is left to long episodes.
  bool repeats_messages = true;
};

NetworkWeather Draw(Fault fault, Rng& rng) {
  NetworkWeather weather;
  if (fault == Fault::kCut) weather.is_cut = true;
  if (fault == Fault::kDelay) weather.delay = milliseconds(20 + rng.Below(200));
  if (fault == Fault::kBandwidth) weather.bytes_per_s = 200'000 + rng.Below(2'000'000);
  if (fault == Fault::kRepeat) weather.repeat_probability = 0.2;
  if (fault == Fault::kDeafAgent) weather.is_agent_deaf = true;
  return weather;
}

void Strike(ChaosCluster& cluster, Fault fault, milliseconds length, Rng& rng) {
  const int process = static_cast<int>(rng.Below(static_cast<uint64_t>(cluster.processes())));
  switch (fault) {
    case Fault::kKillCoordinator:
      cluster.KillCoordinator();
      cluster.ResumeCoordinator();
      return;
    case Fault::kKillAgent:
      cluster.RestartAgent(process);
      return;
    case Fault::kStopCoordinator:
    case Fault::kStopAgent: {
      Subprocess& stopped =
          fault == Fault::kStopAgent ? cluster.agent(process) : cluster.coordinator();
      stopped.Signal(SIGSTOP);
      cluster.Watch(length);
      stopped.Signal(SIGCONT);
      return;
    }
    default:
      cluster.network(process).SetWeather(Draw(fault, rng));
      cluster.Watch(length);
      cluster.network(process).SetWeather({});
      return;
  }
}

// Resident memory must not grow with the rounds: the last quarter against the second one.
void ExpectFlat(const std::vector<double>& memory_mib, uint64_t seed) {
  if (memory_mib.size() < 16) return;
  const auto mean = [&](size_t quarter) {
    const size_t size = memory_mib.size() / 4;
    double sum = 0;
    for (size_t i = 0; i < size; ++i) sum += memory_mib[quarter * size + i];
    return sum / static_cast<double>(size);
  };
  EXPECT_LE(mean(3), 1.1 * mean(1) + 4) << "MiB of the coordinator, seed " << seed;
}

using Tally = std::map<Fault, int>;

void RunEpisode(const EpisodeOptions& options, Tally& tally) {
  const Instant begun = SystemClock().Now();
  Rng rng = Rng::Derive(options.seed, "faults");
  std::vector<Fault> deck;
  ChaosCluster cluster(options.job, options.seed);
  int struck = 0;
  for (; struck < options.faults; ++struck) {
    // A commit between any two, or attempts of a masked round would add up to a failed run.
    if (!cluster.WatchUntilCoordinatorSays(" done")) break;
    cluster.Watch(milliseconds(rng.Below(60)));
    if (cluster.has_ended()) break;
    if (deck.empty()) {
      for (int i = 0; i < kFaultCount; ++i) {
        if (static_cast<Fault>(i) == Fault::kRepeat && !options.repeats_messages) continue;
        deck.push_back(static_cast<Fault>(i));
      }
      rng.Shuffle(deck);
    }
    const Fault fault = deck.back();
    deck.pop_back();
    const auto range = static_cast<uint64_t>(options.fault_max.count());
    Strike(cluster, fault, milliseconds(50 + rng.Below(range)), rng);
    ++tally[fault];
  }
  cluster.ExpectNothingLost();
  EXPECT_GE(struck, options.faults / 2) << "the run was over too soon, seed " << options.seed;
  ExpectFlat(cluster.memory_mib(), options.seed);

  uint64_t connections = 0;
  uint64_t repeats = 0;
  for (int process = 0; process < cluster.processes(); ++process) {
    connections += cluster.network(process).connection_count();
    repeats += cluster.network(process).repeat_count();
  }
  const std::vector<double>& memory = cluster.memory_mib();
  const auto [least, most] = std::minmax_element(memory.begin(), memory.end());
  std::cout << fmt::format(
      "seed {}, {} over {}: {} faults, {} rounds, {} connections, {} repeats, coordinator {:.0f} "
      "to "
      "{:.0f} MiB, {:.0f} s, {}\n",
      options.seed, options.job.name, options.job.link == Deployment::Link::kTcp ? "tcp" : "ipc",
      struck, cluster.History().rounds.size(), connections, repeats, memory.empty() ? 0 : *least,
      memory.empty() ? 0 : *most, Seconds(SystemClock().Now() - begun),
      testing::Test::HasFailure() ? "NOT SOUND" : "sound");
}

ChaosJob JobOf(uint64_t number, int rounds) {
  ChaosJob job = number % 4 == 1   ? MaskedJob(rounds)
                 : number % 4 == 2 ? PrivateJob(rounds)
                                   : PlainJob(rounds);
  // There messages can be repeated behind the encryption's back: there is none.
  if (number % 4 == 3) job.link = Deployment::Link::kIpc;
  return job;
}

void Print(const Tally& tally) {
  for (const auto& [fault, count] : tally) {
    std::cout << fmt::format("{:<36} {:>5}\n", Name(fault), count);
  }
}

uint64_t FirstSeed() {
  const char* seed = std::getenv("SKERRY_TEST_SEED");
  return seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
}

class ChaosTest : public testing::TestWithParam<uint64_t> {};

TEST_P(ChaosTest, AShortEpisodeLosesNothing) {
  Tally tally;
  ChaosJob job = JobOf(GetParam(), 27);
  const bool is_local = job.link == Deployment::Link::kIpc;
  RunEpisode({.job = std::move(job),
              .seed = FirstSeed() + GetParam(),
              .faults = kFaultCount,
              .fault_max = milliseconds(400),
              .repeats_messages = is_local},
             tally);
  Print(tally);
}

INSTANTIATE_TEST_SUITE_P(Jobs, ChaosTest, testing::Range(uint64_t{0}, uint64_t{4}));

TEST(LongChaosTest, EpisodeAfterEpisodeLosesNothing) {
  const char* minutes = std::getenv("SKERRY_CHAOS_MINUTES");
  if (minutes == nullptr) GTEST_SKIP() << "scripts/chaos --minutes M runs it";
  const Instant until = SystemClock().Now() + std::chrono::minutes(std::atoi(minutes));
  Tally tally;
  for (uint64_t i = 0; SystemClock().Now() < until && !HasFailure(); ++i) {
    // While one process is away for long the others' rounds go on.
    const bool is_long = i % 3 == 0;
    RunEpisode({.job = JobOf(i, is_long ? 400 : 150),
                .seed = FirstSeed() + i,
                .faults = is_long ? kFaultCount : 4 * kFaultCount,
                .fault_max = milliseconds(is_long ? 40'000 : 3'000)},
               tally);
  }
  Print(tally);
}

}  // namespace
}  // namespace skerry
