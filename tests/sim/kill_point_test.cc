// kill -9 at every kind of place in a run, aimed: a run without kills tells which places there are,
// and each kind of place in each phase of the round is then struck equally often. What must hold
// is stricter than for random faults, because everything else is calm.
#include <algorithm>
#include <iostream>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/rng.h"
#include "tests/sim/cluster.h"

namespace skerry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kScenariosPerJob = 8;
constexpr int kPointsPerScenario = 18;
// A process is away for at most `Scenario::down_max`, dials again within a second, and then the
// same round goes on within five.
constexpr Duration kRecoveryMax = seconds(1) + seconds(5);

enum class Job {
  kPlain,
  kMasked,
  kAgentNoise,
  kMaskedPrivate,
  kCentralNoise,        // without masks
  kMaskedCentralNoise,  // on the sum that was just opened
  kSecretCohorts,       // of noise in shares, which the coordinator fills up
};

bool IsMasked(Job job) {
  return job == Job::kMasked || job == Job::kMaskedPrivate || job == Job::kMaskedCentralNoise ||
         job == Job::kSecretCohorts;
}

std::string_view Name(Job job) {
  switch (job) {
    case Job::kPlain:
      return "plain";
    case Job::kMasked:
      return "masked";
    case Job::kAgentNoise:
      return "private, noise of agents";
    case Job::kMaskedPrivate:
      return "private, masked";
    case Job::kCentralNoise:
      return "central noise";
    case Job::kMaskedCentralNoise:
      return "central noise, masked";
    case Job::kSecretCohorts:
      return "secret cohorts";
  }
  return "";
}

// Without random faults. Every second one can spare two of its eight nodes.
Scenario CalmScenario(Job job, int number) {
  Scenario scenario;
  scenario.seed = 1000 + static_cast<uint64_t>(number);
  scenario.weather = 2000 + static_cast<uint64_t>(number);
  scenario.node_count = 8;
  scenario.process_count = 4;
  scenario.round.count = 4;
  scenario.round.nodes = 8;
  scenario.round.quorum = number % 2 == 0 ? 8 : 6;
  scenario.round.stall_timeout = seconds(8);
  scenario.workers = 2;
  scenario.training_min = milliseconds(50);
  // Whole in one message, or in chunks, which can be lost half-way.
  scenario.sends_models_inline = number % 4 < 2;
  if (number % 4 >= 2) scenario.inline_upload_bytes_max = 8;
  if (number % 8 >= 6) scenario.upload_memory_bytes = 100;
  if (IsMasked(job)) {
    scenario.secagg = {.enabled = true, .colluders = 1, .dropout_tolerance = 2, .min_survivors = 1};
    scenario.round.quorum = 6;
  }
  if (job != Job::kPlain && job != Job::kMasked) {
    PrivacyConfig& privacy = scenario.privacy;
    const bool is_of_agents = job == Job::kAgentNoise;
    const bool is_central = job == Job::kCentralNoise || job == Job::kMaskedCentralNoise;
    privacy.enabled = true;
    privacy.unit = is_of_agents ? PrivacyUnit::kRecord : PrivacyUnit::kClient;
    privacy.placement = is_of_agents ? NoisePlacement::kAgent
                        : is_central ? NoisePlacement::kCoordinator
                                     : NoisePlacement::kDistributed;
    privacy.sampling.scheme = is_of_agents ? SamplingScheme::kPoisson : SamplingScheme::kFixed;
    privacy.epsilon = 1;
    privacy.noise_multiplier = 1;
    privacy.clip_norm = 4;
    scenario.round.quorum = 6;
    scenario.charges_max = scenario.round.count + 3;
  }
  if (job == Job::kSecretCohorts) {  // three of five and more train
    scenario.privacy.observer = PrivacyObserver::kPublic;
    scenario.privacy.sampling = {.scheme = SamplingScheme::kPoisson, .rate = 0.7};
    scenario.secagg = {.enabled = true, .colluders = 0, .dropout_tolerance = 1, .min_survivors = 3};
    scenario.round.quorum = 3;
  }
  scenario.records_places = true;
  return scenario;
}

std::string KindOf(const ProcessName& process, std::string_view step) {
  if (process == ProcessName()) {
    if (step == "persist") return "coordinator, before it stores";
    if (step == "send") return "coordinator, before it sends";
    if (step == "work") return "coordinator, before it starts work";
    if (step == "order") return "coordinator, before it orders uploads";
    if (step == "noise") return "coordinator, noise drawn and not stored";
    if (step == "noise stored") return "coordinator, noise stored";
    return "coordinator, before it hears";
  }
  if (step == "charge") return "agent, before its charge is durable";
  if (step == "charged") return "agent, after its charge is durable";
  return "agent, before it reads a message";
}

struct Target {
  KillPoint point;
  KillPlace place;
};

// Every kind of place in every phase in turn, and any of its places.
std::vector<Target> DrawTargets(const RunLog& calm, int count, Rng& rng) {
  std::map<std::pair<std::string, std::string_view>, std::vector<Target>> cells;
  for (const auto& [process, places] : calm.places) {
    for (size_t i = 0; i < places.size(); ++i) {
      cells[{KindOf(process, places[i].step), places[i].phase}].push_back(
          {{.process = process, .place = i}, places[i]});
    }
  }
  std::vector<const std::vector<Target>*> order;
  for (const auto& [name, targets] : cells) order.push_back(&targets);
  rng.Shuffle(order);
  std::vector<Target> drawn;
  for (int i = 0; i < count; ++i) {
    const std::vector<Target>& cell = *order[static_cast<size_t>(i) % order.size()];
    drawn.push_back(cell[rng.Below(cell.size())]);
  }
  return drawn;
}

// Which nodes made each round, and at which attempt.
std::vector<std::pair<uint32_t, std::vector<NodeId>>> Outcome(const RunLog& log) {
  std::vector<std::pair<uint32_t, std::vector<NodeId>>> rounds;
  for (const RoundCommitted& round : log.committed) {
    std::vector<NodeId> accepted;
    for (const ParticipantRecord& participant : round.participants) {
      if (participant.participation == Participation::kAccepted) {
        accepted.push_back(participant.node);
      }
    }
    rounds.emplace_back(round.attempt.value(), std::move(accepted));
  }
  return rounds;
}

size_t TrainingCount(const RunLog& log) {
  size_t count = 0;
  for (const auto& [training, times] : log.trainings) count += static_cast<size_t>(times);
  return count;
}

// What one run with kills did wrong, beyond the rules that RunCluster checks for every run.
std::vector<std::string> Judge(const Scenario& scenario, const Target& target,
                               const RunResult& calm, const RunResult& killed) {
  std::vector<std::string> wrong = killed.violations;
  const auto expect = [&wrong](bool holds, std::string what) {
    if (!holds) wrong.push_back(std::move(what));
  };
  const RunLog& log = killed.log;
  expect(!killed.is_given_up, "the run was given up");
  expect(log.coordinator_crashes + log.agent_crashes > 0, "nothing was killed");
  const bool is_same = Outcome(log) == Outcome(calm.log);
  // Noise that was lost before it was durable is drawn anew, and CheckRound knows which it was.
  if (is_same && !scenario.adds_noise()) {
    expect(killed.model_sha256 == calm.model_sha256, "another model");
  }
  if (target.point.process == ProcessName()) {
    expect(is_same, "other survivors or attempts than without the kill");
    expect(TrainingCount(log) == TrainingCount(calm.log),
           fmt::format("{} trainings instead of {}", TrainingCount(log), TrainingCount(calm.log)));
    expect(log.charges.size() == calm.log.charges.size(), "another number of charges");
    expect(log.site_charges == calm.log.site_charges, "the sites' ledgers differ");
    expect(killed.took <= calm.took + log.down + kRecoveryMax * log.coordinator_crashes,
           fmt::format("took {:.1f} s, {:.1f} s without the kill, {:.1f} s down",
                       Seconds(killed.took), Seconds(calm.took), Seconds(log.down)));
    return wrong;
  }
  // Whoever was killed early enough is a member again in the end.
  if (target.place.round.value() + 1 >= static_cast<uint64_t>(scenario.round.count)) return wrong;
  if (log.committed.empty()) return wrong;
  if (scenario.privacy.observer == PrivacyObserver::kPublic) return wrong;  // who is drawn is
  expect(Outcome(log).back().second.size() == static_cast<size_t>(scenario.node_count),
         "a killed agent's nodes do not take part in the last round");
  return wrong;
}

struct Row {
  std::map<std::string_view, int> by_phase;
  int runs = 0;
  int sound = 0;
};

void Print(const std::map<std::pair<Job, std::string>, Row>& table) {
  static constexpr std::string_view kPhases[] = {"training",   "collecting", "unmasking",
                                                 "committing", "evaluating", "finished"};
  std::cout << fmt::format("{:<64}", "kill -9 of");
  for (const std::string_view phase : kPhases) std::cout << fmt::format("{:>11}", phase);
  std::cout << fmt::format("{:>7}{:>7}\n", "runs", "sound");
  Row total;
  for (const auto& [key, row] : table) {
    std::cout << fmt::format("{:<64}", fmt::format("{}: {}", Name(key.first), key.second));
    for (const std::string_view phase : kPhases) {
      const auto found = row.by_phase.find(phase);
      const int count = found == row.by_phase.end() ? 0 : found->second;
      total.by_phase[phase] += count;
      std::cout << fmt::format("{:>11}", count == 0 ? "" : std::to_string(count));
    }
    std::cout << fmt::format("{:>7}{:>7}\n", row.runs, row.sound);
    total.runs += row.runs;
    total.sound += row.sound;
  }
  std::cout << fmt::format("{:<64}", "all");
  for (const std::string_view phase : kPhases) {
    std::cout << fmt::format("{:>11}", total.by_phase[phase]);
  }
  std::cout << fmt::format("{:>7}{:>7}\n", total.runs, total.sound);
}

TEST(KillPointTest, NothingIsLostAtFiveHundredPlaces) {
  std::map<std::pair<Job, std::string>, Row> table;
  int runs = 0;
  for (const Job job : {Job::kPlain, Job::kMasked, Job::kAgentNoise, Job::kMaskedPrivate,
                        Job::kCentralNoise, Job::kMaskedCentralNoise, Job::kSecretCohorts}) {
    for (int number = 0; number < kScenariosPerJob; ++number) {
      const Scenario scenario = CalmScenario(job, number);
      const RunResult calm = RunCluster(scenario);
      ASSERT_THAT(calm.violations, testing::IsEmpty()) << Name(job) << " " << number;
      Rng rng = Rng::Derive(scenario.weather, fmt::format("kills {}", Name(job)));
      for (const Target& target : DrawTargets(calm.log, kPointsPerScenario, rng)) {
        Scenario killed = scenario;
        killed.kills = {target.point};
        // Every third time once more, while it recovers.
        if (rng.Below(3) == 0) {
          killed.kills.push_back(
              {.process = target.point.process, .place = target.point.place + 1 + rng.Below(12)});
        }
        const RunResult result = RunCluster(killed);
        const std::vector<std::string> wrong = Judge(killed, target, calm, result);
        Row& row = table[{job, KindOf(target.point.process, target.place.step)}];
        ++row.by_phase[target.place.phase];
        ++row.runs;
        row.sound += wrong.empty();
        ++runs;
        EXPECT_THAT(wrong, testing::IsEmpty())
            << Name(job) << " " << number << ": " << KindOf(target.point.process, target.place.step)
            << ", " << target.place.phase << ", place " << target.point.place << " of '"
            << target.point.process.value() << "', kills " << killed.kills.size();
      }
    }
  }
  Print(table);
  EXPECT_GE(runs, 500);
}

}  // namespace
}  // namespace skerry
