// Sites with data of their own: each an agent with its YAML, its keys and its CSV.
#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/rng.h"
#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

constexpr char kJob[] = R"(version: 1
seed: 3
model:
  input: [2]
  layers:
    - linear: {out: 8}
    - tanh
    - linear: {out: 1}
data: {id: ward, dataset: csv, path: unused.csv, label: ill, test_path: TEST}
training: {local_epochs: 5, batch_size: 10, optimizer: {name: adam, learning_rate: 0.02}, loss: bce}
round: {count: 8, nodes: 3, quorum: 2, stall_timeout_ms: 2000, wait_timeout_ms: 120000}
encoding: {weight_cap: 1000}
evaluation: {every_rounds: 1, on_nodes: true, held_out: 0.2}
)";

// Two numbers and whether their product is positive: no linear model can learn it.
std::string Csv(uint64_t seed, int rows) {
  Rng rng(seed);
  std::string text = "a,b,ill\n";
  for (int i = 0; i < rows; ++i) {
    const double a = 2 * rng.Uniform() - 1;
    const double b = 2 * rng.Uniform() - 1;
    text += fmt::format("{:.4f},{:.4f},{}\n", 3 * a, 3 * b, a * b > 0 ? 1 : 0);
  }
  return text;
}

TEST(DataTest, ThreeSitesTrainTheirOwnNetworkAndOneWithBrokenDataCostsOnlyItself) {
  Deployment deployment({.nodes = 3, .processes = 3, .link = Deployment::Link::kTcp});
  ASSERT_OK(WriteFileAtomically(deployment.Path("test.csv"), Csv(99, 500)));
  std::string job = kJob;
  job.replace(job.find("TEST"), 4, deployment.Path("test.csv"));
  deployment.StartCoordinator(job);
  ASSERT_OK_AND_ASSIGN(std::string key,
                       ReadFile(deployment.key_folder() + "/coordinator.pub", 1000));
  key.erase(key.find_last_not_of('\n') + 1);

  std::vector<std::unique_ptr<Subprocess>> sites;
  for (int i = 0; i < 3; ++i) {
    std::string csv = Csv(static_cast<uint64_t>(i), 300);
    if (i == 2) csv += "0.5,nan,1\n";
    const std::string path = deployment.Path(fmt::format("site-{}.csv", i));
    ASSERT_OK(WriteFileAtomically(path, csv));
    const std::string config = deployment.Path(fmt::format("site-{}.yaml", i));
    ASSERT_OK(WriteFileAtomically(
        config, fmt::format("version: 1\n"
                            "identity: {{process: process-{0}, keys: {1}/process-{0}}}\n"
                            "coordinator: {{address: \"{2}\", public_key: '{3}'}}\n"
                            "nodes:\n"
                            "  - id: node-{0:04}\n"
                            "    data: {{id: ward, dataset: csv, path: {4}, label: ill}}\n"
                            "policy: {{allow_plain: true, cohort_min: 3}}\n",
                            i, deployment.key_folder(), deployment.endpoint(), key, path)));
    sites.push_back(std::make_unique<Subprocess>(
        std::vector<std::string>{AgentProgram(), "run", config, "--once"}));
  }

  const nlohmann::json result = deployment.Result();
  EXPECT_EQ(result.value("status", ""), "completed") << result;
  EXPECT_GT(result.value("accuracy", 0.0), 0.9);
  EXPECT_EQ(sites[0]->WaitForExit(), 0) << sites[0]->standard_error();
  EXPECT_EQ(sites[1]->WaitForExit(), 0) << sites[1]->standard_error();
  sites[2]->WaitForExit();
  EXPECT_THAT(sites[2]->standard_error(), testing::AllOf(HasSubstr("site-2.csv"), HasSubstr("302")))
      << "the row with the NaN is named in the site's own log";
  EXPECT_THAT(deployment.coordinator().standard_error(), testing::Not(HasSubstr("site-2.csv")))
      << "and nowhere else";
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  for (const RoundHistory& round : history.rounds) {
    EXPECT_EQ(round.committed.participants[2].participation, Participation::kFailed);
    ASSERT_TRUE(round.committed.node_metrics.has_value());
    EXPECT_EQ(round.committed.node_metrics->examples, 120);  // a fifth of two sites' 300 rows
  }
}

}  // namespace
}  // namespace skerry
