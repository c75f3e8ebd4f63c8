// Whole nodes protected by noise that the coordinator adds: between real processes, through the
// loss of the coordinator at the moment when the noise is drawn, and at sites that do not trust it.
#include <cmath>
#include <filesystem>
#include <set>
#include <signal.h>

#include <fmt/format.h>

#include "common/tensor/safetensors.h"
#include "coordinator/store/noisy_sum.h"
#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string ClientJob(int rounds, const std::string& secagg) {
  return R"(version: 1
seed: 7
model: {name: cnn_small}
data: {id: fashion, dataset: fashion_mnist, examples_max: 400, partition: {scheme: iid}}
training: {local_epochs: 1, batch_size: 25, optimizer: {name: sgd, learning_rate: 0.1}}
round: {count: )" +
         std::to_string(rounds) + R"(, nodes: 8, quorum: 7}
privacy:
  enabled: true
  unit: client
  placement: coordinator
  noise_multiplier: 20
  delta: 1.0e-5
  clip_norm: 0.5
  sampling: {scheme: fixed}
evaluation: {every_rounds: 0}
)" + secagg;
}

const std::string kMasked =
    "secagg: {enabled: true, colluders: 2, dropout_tolerance: 1, min_survivors: 7}\n";

void ExpectChargedOnceForEachRound(const RunHistory& history) {
  std::set<std::pair<uint64_t, uint32_t>> charged;
  for (const BudgetCharged& charge : history.charges) {
    EXPECT_TRUE(charged.emplace(charge.round.value(), charge.attempt.value()).second)
        << "round " << charge.round.value();
    EXPECT_EQ(charge.noise_realised, charge.noise_multiplier);  // whoever is in the sum
  }
  for (const RoundHistory& round : history.rounds) {
    EXPECT_TRUE(charged.contains({round.committed.round.value(), round.committed.attempt.value()}));
    EXPECT_EQ(round.committed.weight_sum, 8);  // the cohort that was planned
    // z C sqrt(d) / 8 is 202 here, and no mean of clipped updates is longer than 0.5.
    EXPECT_NEAR(round.committed.update_norm, 202, 10);
  }
}

class CentralNoiseTest : public testing::TestWithParam<std::string> {};

TEST_P(CentralNoiseTest, EverySumHasTheWholeNoiseAndIsChargedOnceThroughKills) {
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(ClientJob(40, GetParam()));
  deployment.StartAllAgents();
  for (int kill = 0; kill < 3; ++kill) {
    ASSERT_TRUE(deployment.coordinator().WaitForText("of 40 done"))
        << deployment.coordinator().standard_error() << deployment.agent(0).standard_error();
    deployment.coordinator().Signal(SIGKILL);
    deployment.coordinator().WaitForExit();
    deployment.StartCoordinator(ClientJob(40, GetParam()), {"--resume"});
  }

  const nlohmann::json result = deployment.Result();

  ASSERT_THAT(result.value("status", ""), testing::AnyOf("completed", "budget_exhausted"))
      << deployment.coordinator().standard_error();
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  ExpectChargedOnceForEachRound(history);
  EXPECT_THAT(deployment.Report(), AllOf(HasSubstr("anybody but the coordinator sees"),
                                         HasSubstr("is trusted to add it")));
  for (const auto& entry : std::filesystem::directory_iterator(deployment.run_dir() + "/state")) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("noisy-sum-")) << entry.path();
  }
}

INSTANTIATE_TEST_SUITE_P(PlainAndMasked, CentralNoiseTest, testing::Values("", kMasked));

// Killed between the noise and the commit: what is stored is committed, as it is and by nobody's
// help. The stored sum is 1 in each unit of the encoding, which no further noise may change.
TEST(CentralNoiseResumeTest, ASumThatWasStoredWithItsNoiseIsCommittedAsItIs) {
  constexpr size_t kParameters = 26'010;
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(ClientJob(1, ""));
  // Without agents the round stays open.
  ASSERT_TRUE(deployment.coordinator().WaitForText("round 1 of 1: training"));
  deployment.coordinator().Signal(SIGKILL);
  deployment.coordinator().WaitForExit();
  const std::vector<NodeId> survivors = {NodeId("node-0"), NodeId("node-2")};
  ASSERT_OK(WriteNoisySum(deployment.run_dir(), {RoundId(1), AttemptId(1)}, survivors,
                          std::vector<uint32_t>(kParameters, 1)));

  deployment.StartCoordinator(ClientJob(1, ""), {"--resume"});

  ASSERT_EQ(deployment.Result().value("status", ""), "completed")
      << deployment.coordinator().standard_error();
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  ASSERT_EQ(history.rounds.size(), 1u);
  // 20 fractional bits (`check` says so), a cohort of 8.
  EXPECT_NEAR(history.rounds[0].committed.update_norm, std::sqrt(double{kParameters}) / 8 / 0x1p20,
              1e-9);
  for (const ParticipantRecord& one : history.rounds[0].committed.participants) {
    const bool is_in = one.node == survivors[0] || one.node == survivors[1];
    EXPECT_EQ(one.participation == Participation::kAccepted, is_in) << one.node.value();
  }
}

// Who adds the noise, and how much more of it there is than planned with all eight nodes: the
// shares of the nodes are for five honest survivors.
struct Placement {
  std::string name;
  double factor = 1;
};

class AdaptiveClipTest : public testing::TestWithParam<Placement> {};

// The clip norm grows while too few updates are within it, and a restart goes on with it: it stands
// in each checkpoint's state, in the ledger and in what a person sees. Noise on the bits is small
// here, which a job of 8 nodes has to ask for; the privacy that is left is not much.
TEST_P(AdaptiveClipTest, TheClipNormFollowsTheNodesThroughALossOfTheCoordinator) {
  std::string job = ClientJob(12, kMasked);
  const auto set = [&job](const std::string& before, const std::string& after) {
    job.replace(job.find(before), before.size(), after);
  };
  set("  clip_norm: 0.5\n",
      "  clip_norm: 4\n  adaptive_clip: {initial: 0.05, learning_rate: 0.5, bit_noise: 0.6}\n");
  set("multiplier: 20", "multiplier: 1.0");
  set("placement: coordinator", "placement: " + GetParam().name);
  Deployment deployment({.nodes = 8, .processes = 2});
  deployment.StartCoordinator(job);
  const std::vector<std::string> unlimited = {"--epsilon-total", "none"};
  for (const int process : {0, 1}) deployment.StartAgent(process, unlimited);
  ASSERT_TRUE(deployment.coordinator().WaitForText("round 6 of 12 done"))
      << deployment.coordinator().standard_error() << deployment.agent(0).standard_error();
  deployment.coordinator().Signal(SIGKILL);
  deployment.coordinator().WaitForExit();
  deployment.StartCoordinator(job, {"--resume"});

  ASSERT_EQ(deployment.Result().value("status", ""), "completed")
      << deployment.coordinator().standard_error();

  ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr layout,
                       ParameterLayout::Create({{.name = "privacy/clip_norm", .sizes = {1}}}));
  std::vector<float> clips;
  for (int round = 8; round <= 12; ++round) {  // storage.keep_models is 5
    ASSERT_OK_AND_ASSIGN(
        const SafetensorsFile state,
        ReadSafetensors(
            fmt::format("{}/state/round-{:06}.safetensors", deployment.run_dir(), round), layout));
    clips.push_back(state.parameters.values()[0]);
  }
  // exp(0.5 (0.5 - fraction)) a round, and the noise on a fraction is 0.075 or a little more: 1.28
  // times a round as long as nobody is within it. Begun anew in the middle, it could not have come
  // so far.
  const double noise = 0.6 / 8 * GetParam().factor;
  bool is_noisy = false;
  EXPECT_GT(clips[0], 0.05 * std::pow(1.15, 8));
  for (size_t i = 1; i < clips.size(); ++i) {
    const double step = std::log(clips[i] / clips[i - 1]);
    EXPECT_LT(std::fabs(step), 0.5 * (0.5 + 6 * noise));
    // A fraction without noise is a multiple of an eighth.
    const double eighths = step / 0.5 * 8;
    is_noisy = is_noisy || std::fabs(eighths - std::round(eighths)) > 1e-3;
  }
  EXPECT_TRUE(is_noisy);
  // A round's charge says which norm it had: what the checkpoint before it holds.
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment.run_dir()));
  for (const BudgetCharged& charge : history.charges) {
    ASSERT_TRUE(charge.clip_norm.has_value()) << charge.round.value();
    if (charge.round.value() == 1) {
      EXPECT_FLOAT_EQ(static_cast<float>(*charge.clip_norm), 0.05f);
    }
    if (charge.round.value() < 9) continue;
    EXPECT_EQ(*charge.clip_norm, clips[charge.round.value() - 9]) << charge.round.value();
    EXPECT_GE(charge.noise_realised, charge.noise_multiplier);
    EXPECT_LE(charge.noise_realised, GetParam().factor * charge.noise_multiplier);
  }
  Subprocess status({CoordinatorProgram(), "status", deployment.run_dir(), "--json"});
  EXPECT_EQ(status.WaitForExit(), 0);
  const auto json = nlohmann::json::parse(status.standard_output());
  EXPECT_EQ(json["privacy"]["clip_norm"].get<double>(), *history.charges.back().clip_norm);
  EXPECT_THAT(deployment.Report(), HasSubstr("\"clip_norm\":0.05"));
}

INSTANTIATE_TEST_SUITE_P(NoiseOfTheCoordinatorAndOfTheNodes, AdaptiveClipTest,
                         testing::Values(Placement{"coordinator", 1},
                                         Placement{"distributed", std::sqrt(8.0 / 5)}),
                         [](const auto& one) { return one.param.name; });

TEST(CentralNoisePolicyTest, ASiteThatDoesNotTrustTheCoordinatorTakesNoPart) {
  Deployment deployment({.nodes = 8, .processes = 1});
  deployment.StartCoordinator(ClientJob(1, ""));
  Subprocess agent({AgentProgram(), "run", "--coordinator", deployment.endpoint(),
                    "--virtual-nodes", "0-7", "--process", "process-0", "--keys",
                    deployment.key_folder() + "/process-0", "--server-key",
                    deployment.key_folder() + "/coordinator.pub", "--allow-plain", "--once"});

  EXPECT_TRUE(agent.WaitForText("policy.allow_coordinator_noise: true trusts it"));
}

}  // namespace
}  // namespace skerry
