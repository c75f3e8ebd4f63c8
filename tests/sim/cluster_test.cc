// The coordinator's and the agents' machines together, over a simulated network with real bytes:
// delay, duplication, breaking links, crashes of both sides. Every run must complete and give, bit
// for bit, the model that its recorded survivors make.
//
// A failing seed is printed; SKERRY_TEST_SEED=n runs that one alone.
#include "tests/sim/cluster.h"

#include <cmath>
#include <cstdlib>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/quadratic_trainer.h"

namespace skerry {
namespace {

using testing::IsEmpty;

constexpr uint64_t kShardCount = 10;
constexpr uint64_t kSeedsPerShard = 110;

// Of one shard; all of them together are the seeds of CI.
std::vector<uint64_t> SeedsOf(uint64_t shard, uint64_t shard_seeds = kSeedsPerShard) {
  std::vector<uint64_t> seeds;
  if (const char* only = std::getenv("SKERRY_TEST_SEED")) {
    if (shard == 0) seeds.push_back(std::strtoull(only, nullptr, 10));
    return seeds;
  }
  for (uint64_t i = 0; i < shard_seeds; ++i) seeds.push_back(shard * shard_seeds + i);
  return seeds;
}

void ExpectSound(const Scenario& scenario) {
  const RunResult result = RunCluster(scenario);
  EXPECT_THAT(result.violations, IsEmpty())
      << "seed " << scenario.seed << " (SKERRY_TEST_SEED=" << scenario.seed << " runs it alone)";
}

class ClusterSeedTest : public testing::TestWithParam<uint64_t> {};

TEST_P(ClusterSeedTest, EveryRunCompletesWithTheModelItsSurvivorsMake) {
  for (const uint64_t seed : SeedsOf(GetParam())) ExpectSound(DrawScenario(seed));
}

INSTANTIATE_TEST_SUITE_P(Seeds, ClusterSeedTest, testing::Range(uint64_t{0}, kShardCount));

class SecAggSeedTest : public testing::TestWithParam<uint64_t> {};

TEST_P(SecAggSeedTest, EveryMaskedRunGivesTheModelItsSurvivorsMake) {
  for (const uint64_t seed : SeedsOf(GetParam())) ExpectSound(DrawSecAggScenario(seed));
}

INSTANTIATE_TEST_SUITE_P(Seeds, SecAggSeedTest, testing::Range(uint64_t{0}, kShardCount));

class PrivateSeedTest : public testing::TestWithParam<uint64_t> {};

// Whatever leaves an agent was charged to its site before, is one draw of noise for that attempt,
// and what is opened was charged to the run: once, however often either side is killed.
TEST_P(PrivateSeedTest, EveryReleaseIsChargedOnBothSidesAndNoneTwice) {
  for (const uint64_t seed : SeedsOf(GetParam(), 40)) ExpectSound(DrawPrivateScenario(seed));
}

INSTANTIATE_TEST_SUITE_P(Seeds, PrivateSeedTest, testing::Range(uint64_t{0}, kShardCount));

TEST(ClusterTest, ThePrivateSeedsContainChargesInVainAndRunsThatEndEarly) {
  int charges_lost = 0;
  int agent_crashes = 0;
  int coordinator_crashes = 0;
  int charged_in_vain = 0;
  int retries = 0;
  int given_up = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const RunResult result = RunCluster(DrawPrivateScenario(seed));
    charges_lost += result.log.charges_lost;
    agent_crashes += result.log.agent_crashes;
    coordinator_crashes += result.log.coordinator_crashes;
    charged_in_vain += result.log.charges.size() > result.log.committed.size();
    for (const RoundCommitted& round : result.log.committed) retries += round.attempt.value() > 1;
    given_up += result.is_given_up;
  }
  EXPECT_GT(charges_lost, 20);
  EXPECT_GT(agent_crashes, 60);
  EXPECT_GT(coordinator_crashes, 60);
  EXPECT_GT(charged_in_vain, 5);
  EXPECT_GT(retries, 5);
  EXPECT_GT(given_up, 5);
  EXPECT_LT(given_up, 100);
}

class SparseSeedTest : public testing::TestWithParam<uint64_t> {};

TEST_P(SparseSeedTest, EveryRunWithARingGivesTheModelItsSurvivorsMake) {
  for (const uint64_t seed : SeedsOf(GetParam(), 5)) ExpectSound(DrawSparseScenario(seed));
}

INSTANTIATE_TEST_SUITE_P(Seeds, SparseSeedTest, testing::Range(uint64_t{0}, uint64_t{6}));

TEST(ClusterTest, TheSecAggSeedsContainDropoutsRestartsAndGivenUpAttempts) {
  int dropped_members = 0;
  int sessions_continued = 0;
  int attempts_given_up = 0;
  int given_up = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const RunResult result = RunCluster(DrawSecAggScenario(seed));
    dropped_members += result.log.dropped_members;
    sessions_continued += result.log.sessions_continued;
    attempts_given_up += result.log.attempts_given_up;
    given_up += result.is_given_up;
  }
  EXPECT_GT(dropped_members, 20);
  EXPECT_GT(sessions_continued, 10);
  EXPECT_GT(attempts_given_up, 3);
  EXPECT_LT(given_up, 10);
}

// Everyone in every round, without and with masks.
void ExpectSameModelMasked(Scenario scenario, const SecAggConfig& secagg) {
  scenario.seed = 5;
  scenario.weather = 6;
  scenario.round.nodes = scenario.node_count;
  scenario.round.quorum = scenario.node_count;
  const RunResult plain = RunCluster(scenario);
  scenario.secagg = secagg;

  const RunResult masked = RunCluster(scenario);

  EXPECT_THAT(plain.violations, IsEmpty());
  EXPECT_THAT(masked.violations, IsEmpty());
  EXPECT_EQ(plain.model_sha256, masked.model_sha256);
}

TEST(ClusterTest, SecureAggregationChangesNoBitOfTheModel) {
  Scenario scenario;
  scenario.round.count = 4;
  ExpectSameModelMasked(scenario, {.enabled = true, .colluders = 1, .dropout_tolerance = 1});
}

TEST(ClusterTest, NorDoesASparseGraph) {
  Scenario scenario;
  scenario.node_count = 100;
  scenario.process_count = 10;
  scenario.round.count = 2;
  ExpectSameModelMasked(scenario, {.enabled = true, .colluders = 3, .dropout_tolerance = 3});
}

// The seeds would prove little if their faults did not strike.
TEST(ClusterTest, TheSeedsContainEveryKindOfFault) {
  int coordinator_crashes = 0;
  int agent_crashes = 0;
  int partial_rounds = 0;
  int chunked_runs = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Scenario scenario = DrawScenario(seed);
    const RunResult result = RunCluster(scenario);
    coordinator_crashes += result.log.coordinator_crashes;
    agent_crashes += result.log.agent_crashes;
    chunked_runs += scenario.inline_upload_bytes_max < 20 && !scenario.sends_models_inline;
    for (const RoundCommitted& round : result.log.committed) {
      for (const ParticipantRecord& participant : round.participants) {
        partial_rounds += participant.participation != Participation::kAccepted;
      }
    }
  }
  EXPECT_GT(coordinator_crashes, 20);
  EXPECT_GT(agent_crashes, 20);
  EXPECT_GT(partial_rounds, 20);
  EXPECT_GT(chunked_runs, 5);
}

Scenario CalmScenario() {
  Scenario scenario;
  scenario.seed = 5;
  scenario.weather = 1;
  scenario.node_count = 8;
  scenario.process_count = 2;
  scenario.round.count = 12;
  scenario.round.nodes = 8;
  scenario.round.quorum = 8;
  return scenario;
}

TEST(ClusterTest, WithoutFaultsTheModelDoesNotDependOnDelaysProcessesOrTransfers) {
  const std::string expected = RunCluster(CalmScenario()).model_sha256;
  for (uint64_t weather = 2; weather < 12; ++weather) {
    Scenario scenario = CalmScenario();
    scenario.weather = weather;
    scenario.process_count = 1 + static_cast<int>(weather % 8);
    scenario.workers = 1 + weather % 3;
    scenario.network.delay_max = std::chrono::milliseconds(40 * weather);
    scenario.sends_models_inline = weather % 2 == 0;
    scenario.inline_upload_bytes_max = weather % 3 == 0 ? 0 : 1000;

    const RunResult result = RunCluster(scenario);

    EXPECT_THAT(result.violations, IsEmpty()) << "weather " << weather;
    EXPECT_EQ(result.model_sha256, expected) << "weather " << weather;
  }
}

TEST(ClusterTest, TheSameSeedGivesTheSameRunMessageByMessage) {
  const RunResult once = RunCluster(DrawScenario(17));
  const RunResult again = RunCluster(DrawScenario(17));

  EXPECT_EQ(once.took, again.took);
  EXPECT_EQ(once.message_count, again.message_count);
  EXPECT_EQ(once.model_sha256, again.model_sha256);
}

TEST(ClusterTest, WithEveryoneInEveryRoundTheModelKeepsToTheClosedForm) {
  const Scenario scenario = CalmScenario();
  const QuadraticTrainer trainer(scenario.seed, static_cast<size_t>(scenario.dimension),
                                 scenario.node_count);
  const std::vector<double> optimum = trainer.WeightedOptimum(scenario.nodes());

  const RunResult result = RunCluster(scenario);

  // w_0 is 0. Each round rounds a node's coordinate by less than 2^-f W / sum n, and a float32
  // model near 2 by 2^-23.
  const double left =
      std::pow(1.0 - QuadraticTrainer::kStep, static_cast<double>(scenario.round.count));
  for (size_t i = 0; i < optimum.size(); ++i) {
    EXPECT_NEAR(result.model[i], optimum[i] * (1 - left), 2e-5) << "coordinate " << i;
  }
}

TEST(ClusterTest, AThousandNodesInTenProcesses) {
  Scenario scenario;
  scenario.seed = 3;
  scenario.weather = 4;
  scenario.node_count = 1000;
  scenario.process_count = 10;
  scenario.workers = 4;
  scenario.round.count = 5;
  scenario.round.nodes = 1000;
  scenario.round.quorum = 900;
  scenario.network.break_probability = 0.0005;
  scenario.network.duplicate_probability = 0.01;
  scenario.network.until = Instant() + std::chrono::seconds(60);
  scenario.training_max = std::chrono::milliseconds(40);

  ExpectSound(scenario);
}

}  // namespace
}  // namespace skerry
