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

void ExpectSound(const Scenario& scenario) {
  const RunResult result = RunCluster(scenario);
  EXPECT_THAT(result.violations, IsEmpty())
      << "seed " << scenario.seed << " (SKERRY_TEST_SEED=" << scenario.seed << " runs it alone)";
}

class ClusterSeedTest : public testing::TestWithParam<uint64_t> {};

TEST_P(ClusterSeedTest, EveryRunCompletesWithTheModelItsSurvivorsMake) {
  if (const char* seed = std::getenv("SKERRY_TEST_SEED")) {
    if (GetParam() > 0) GTEST_SKIP() << "the seed runs in shard 0";
    ExpectSound(DrawScenario(std::strtoull(seed, nullptr, 10)));
    return;
  }
  for (uint64_t i = 0; i < kSeedsPerShard; ++i) {
    ExpectSound(DrawScenario(GetParam() * kSeedsPerShard + i));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ClusterSeedTest, testing::Range(uint64_t{0}, kShardCount));

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
