// A site's own privacy ledger through kill -9 of the agent, and over several jobs.
#include <filesystem>
#include <set>
#include <signal.h>
#include <tuple>

#include <fmt/format.h>

#include "common/privacy/accountant.h"
#include "common/privacy/ledger.h"
#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

// Nobody is spared, so a round waits for an agent that was killed.
constexpr char kEveryoneJob[] = R"(version: 1
seed: 7
model: {name: cnn_small}
data: {id: fashion, dataset: fashion_mnist, examples_max: 800, partition: {scheme: iid}}
strategy: {name: fedavgm, learning_rate: 0.5, momentum: 0.5}
round: {count: 12, nodes: 8, quorum: 8, wait_timeout_ms: 200000}
privacy: {enabled: true, placement: distributed, epsilon: 4.0, delta: 1.0e-5, clip_norm: 0.1,
          records: 800, sampling: {rate: 0.1}}
secagg: {enabled: true, colluders: 2, dropout_tolerance: 0, min_survivors: 8}
evaluation: {every_rounds: 0}
)";

std::string LedgerPath(const Deployment& deployment, int process) {
  return fmt::format("{}/process-{}/privacy-ledger.jsonl", deployment.key_folder(), process);
}

double EpsilonOf(const Spending& spending, const NodeId& node) {
  const std::vector<PrivacyEvent> events = UnderOneRelation(spending.EventsOf("fashion", node));
  if (events.empty()) return 0;
  const absl::StatusOr<double> epsilon =
      EpsilonFor(events, 1e-5, BestAccountant(events.front().sampling));
  EXPECT_OK(epsilon.status());
  return epsilon.value_or(0);
}

TEST(PrivateKillTest, AKilledAgentsLedgerHoldsAllThatItHadReleased) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(kEveryoneJob);
  deployment.StartAllAgents();
  // With an update on its way, with several, with none; and when hardly started.
  for (const auto& [text, count] : {std::pair{"trained", 1},
                                    {"trained", 7},
                                    {"joined run", 1},
                                    {"trained", 9},
                                    {"round 8", 1}}) {
    ASSERT_TRUE(deployment.agent(1).WaitForText(text, count))
        << deployment.agent(1).standard_error() << deployment.coordinator().standard_error();
    deployment.agent(1).Signal(SIGKILL);
    ASSERT_EQ(deployment.agent(1).WaitForExit(), 128 + SIGKILL);
    deployment.StartAgent(1);
  }

  const nlohmann::json result = deployment.Result();
  deployment.agent(1).WaitForExit();

  ASSERT_THAT(result.value("status", ""), AnyOf("completed", "budget_exhausted"))
      << deployment.coordinator().standard_error() << deployment.agent(1).standard_error();
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  ASSERT_OK_AND_ASSIGN(const Ledger ledger, Ledger::Open(LedgerPath(deployment, 1)));
  Spending released;
  for (const RoundHistory& round : history.rounds) {
    for (const ParticipantRecord& record : round.committed.participants) {
      const bool is_ours = record.node.value() >= "node-0004";
      if (!is_ours || record.participation != Participation::kAccepted) continue;
      const Charge charge{.data_id = "fashion",
                          .node = record.node,
                          .run = history.info.run_id,
                          .release = {round.committed.round, round.committed.attempt},
                          .event = {.noise_multiplier = history.charges[0].noise_multiplier,
                                    .sampling = Sampling::Poisson(0.1),
                                    .steps = 1}};
      EXPECT_TRUE(ledger.spending().Has(charge)) << record.node.value();
      released.Add(charge);
    }
  }
  EXPECT_GE(released.charge_count(), 4u);
  for (const char* node : {"node-0004", "node-0005", "node-0006", "node-0007"}) {
    EXPECT_GE(EpsilonOf(ledger.spending(), NodeId(node)) + 1e-9, EpsilonOf(released, NodeId(node)));
  }
}

// Each job is another run of another coordinator, and each time the agent is another process.
TEST(PrivateKillTest, JobAfterJobCannotSpendMoreThanTheSitesTotal) {
  constexpr double kTotal = 1.7;
  Deployment deployment({.nodes = 1, .processes = 1});
  int completed = 0;
  int refused = 0;
  for (int job = 0; job < 10; ++job) {
    std::filesystem::remove_all(deployment.run_dir());
    deployment.StartCoordinator(R"(version: 1
seed: 7
model: {name: cnn_small}
data: {id: fashion, dataset: fashion_mnist, examples_max: 200, partition: {scheme: iid}}
training: {local_epochs: 1, batch_size: 20, optimizer: {name: sgd, learning_rate: 0.1}}
round: {count: 1, nodes: 1, quorum: 1}
privacy: {enabled: true, epsilon: 1.0, clip_norm: 0.5, records: 200, sampling: {rate: 0.1}}
evaluation: {every_rounds: 0}
)");
    deployment.StartAgent(0, {"--epsilon-total", fmt::format("{}", kTotal)});
    const std::string status = deployment.Result().value("status", "");
    deployment.agent(0).WaitForExit();
    if (status == "completed") {
      EXPECT_EQ(refused, 0) << "a spent budget stays spent";
      ++completed;
      continue;
    }
    ++refused;
    EXPECT_THAT(deployment.agent(0).standard_error(), HasSubstr("policy.epsilon_total"));
  }

  EXPECT_GE(completed, 1);
  EXPECT_GE(refused, 1);
  ASSERT_OK_AND_ASSIGN(const Ledger ledger, Ledger::Open(LedgerPath(deployment, 0)));
  EXPECT_EQ(ledger.spending().charge_count(), static_cast<size_t>(completed));
  EXPECT_LE(EpsilonOf(ledger.spending(), NodeId("node-0000")), kTotal);
}

// Noise, samples and rounding come from the operating system, and nothing of them from the seed.
TEST(PrivateKillTest, TwoRunsFromOneSeedHaveDifferentNoise) {
  std::set<std::string> models;
  for (int run = 0; run < 2; ++run) {
    Deployment deployment({.nodes = 8, .processes = 2});
    deployment.StartCoordinator(kEveryoneJob, {"--set", "round.count=1"});
    deployment.StartAllAgents();
    models.insert(deployment.Result().value("model_sha256", ""));
  }

  EXPECT_EQ(models.size(), 2u);
}

}  // namespace
}  // namespace skerry
