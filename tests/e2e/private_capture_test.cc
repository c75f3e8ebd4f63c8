// What leaves an agent's process in a private job, byte by byte from its first connection to its
// last word, searched for what it must not say: a row of its data, a label, how many rows it has.
// Sampling takes every row here, so the size of a sample is that number as well.
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <signal.h>

#include <fmt/format.h>

#include "common/base/file.h"
#include "tests/e2e/deployment.h"
#include "tests/support/byte_forms.h"
#include "tests/support/recording_proxy.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr uint32_t kRows = 2'345'678;
constexpr float kLabel = 73.45678f;
constexpr std::array<float, 3> kRow = {0.7392136f, -0.5182943f, 0.2917465f};

std::vector<ByteForm> Secrets() {
  std::vector<ByteForm> forms = FormsOfCount("the number of rows", kRows);
  const auto append = [&forms](std::vector<ByteForm> more) {
    forms.insert(forms.end(), more.begin(), more.end());
  };
  append(FormsOfCount("the last row's number", kRows - 1));
  append(FormsOfValue("the label", kLabel));
  for (const float feature : kRow) append(FormsOfValue("a feature", feature));
  forms.push_back({"the data's path", "secret-site"});
  return forms;
}

// The file of an array of float32 in NumPy's format, each row `row`.
std::string Npy(size_t rows, std::span<const float> row) {
  std::string header = fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, row.size());
  header.resize(118, ' ');
  std::string bytes = "\x93NUMPY";
  bytes += std::string("\x01\x00\x76\x00", 4);
  bytes += header;
  const std::string_view values(reinterpret_cast<const char*>(row.data()), row.size_bytes());
  bytes.reserve(bytes.size() + rows * values.size());
  for (size_t i = 0; i < rows; ++i) bytes += values;
  return bytes;
}

// Five nodes in one process behind a proxy, all with the same sentinel data.
class PrivateCaptureTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string features = Npy(kRows, kRow);
    const std::string labels = Npy(kRows, {&kLabel, 1});
    ASSERT_THAT(FindForms(Secrets(), features.substr(0, 4096)), Contains("a feature as float"));
    ASSERT_THAT(FindForms(Secrets(), labels.substr(0, 4096)), Contains("the label as float"));
    WriteSite("secret-site", features, labels);
    std::string broken = labels;
    const float nan = NAN;
    broken.replace(broken.size() - sizeof(nan), sizeof(nan), LittleEndian(nan));
    WriteSite("secret-site-broken", features, broken);
  }

  void WriteSite(const std::string& name, const std::string& features, const std::string& labels) {
    std::filesystem::create_directory(deployment_.Path(name));
    ASSERT_OK(WriteFileAtomically(deployment_.Path(name + "/x.npy"), features));
    ASSERT_OK(WriteFileAtomically(deployment_.Path(name + "/y.npy"), labels));
  }

  // `privacy` is the job's sections besides the usual ones.
  void StartJob(const std::string& sections) {
    deployment_.StartCoordinator(
        R"(version: 1
seed: 3
model: {input: [3], layers: [linear: {out: 1}]}
data: {id: ward, dataset: npy, path: unused}
round: {count: 1, nodes: 5, quorum: 4, stall_timeout_ms: 2000}
evaluation: {every_rounds: 0}
)" + sections,
        {});
  }

  // The agent with all five nodes; the last one's data lies in `last_site`.
  void StartAgent(const std::string& policy = "", const std::string& last_site = "secret-site") {
    proxy_.emplace(deployment_.Path("proxy"), deployment_.Path("socket"));
    std::string config = fmt::format(
        "version: 1\n"
        "identity: {{process: process-0, keys: {0}/process-0, roster: {1}}}\n"
        "coordinator: {{address: \"ipc://{2}\"}}\n"
        "policy: {{allow_plain: true, cohort_min: 3, survivors_min: 1{3}}}\n"
        "nodes:\n",
        deployment_.key_folder(), deployment_.roster_path(), deployment_.Path("proxy"), policy);
    for (int node = 0; node < 5; ++node) {
      config += fmt::format("  - {{id: node-{:04}, data: {{id: ward, dataset: npy, path: {}}}}}\n",
                            node, deployment_.Path(node == 4 ? last_site : "secret-site"));
    }
    ASSERT_OK(WriteFileAtomically(deployment_.Path("agent.yaml"), config));
    agent_.emplace(
        std::vector<std::string>{AgentProgram(), "run", deployment_.Path("agent.yaml"), "--once"});
  }

  // Everything that the agent has sent, once the job is done.
  std::string CaptureJob() {
    const nlohmann::json result = deployment_.Result();
    agent_->WaitForExit();
    EXPECT_EQ(result.value("status", ""), "completed")
        << deployment_.coordinator().standard_error() << agent_->standard_error();
    return proxy_->Finish();
  }

  Deployment deployment_{{.nodes = 5, .processes = 1}};
  std::optional<RecordingProxy> proxy_;
  std::optional<Subprocess> agent_;
};

// Without privacy, so that nothing but the sections differs.
constexpr char kPlain[] = R"(encoding: {weight_cap: 10000000}
training: {batch_size: 65536, loss: mse, optimizer: {name: sgd, learning_rate: 0.000001}}
)";
constexpr char kGradientRounds[] = R"(training: {loss: mse}
privacy: {enabled: true, placement: distributed, epsilon: 4, delta: 1.0e-8, clip_norm: 1,
          records: 20000000, sampling: {rate: 1}}
secagg: {enabled: true, colluders: 1, dropout_tolerance: 1, min_survivors: 4}
)";
constexpr char kAgentNoise[] = R"(training: {batch_size: 65536, loss: mse}
privacy: {enabled: true, placement: agent, epsilon: 4, delta: 1.0e-8, clip_norm: 1,
          records: 20000000, sampling: {rate: 1}}
)";

TEST_F(PrivateCaptureTest, WithoutPrivacyTheSearchFindsTheNumberOfRows) {
  StartJob(kPlain);
  StartAgent();

  const std::string sent = CaptureJob();

  EXPECT_THAT(FindForms(Secrets(), sent), Contains("the number of rows as little-endian integer"));
}

TEST_F(PrivateCaptureTest, GradientRoundsSayNothingOfANode) {
  StartJob(kGradientRounds);
  StartAgent();

  const std::string sent = CaptureJob();

  EXPECT_THAT(sent, HasSubstr("node-0003")) << "all of it is in clear";
  EXPECT_THAT(FindForms(Secrets(), sent), IsEmpty());
}

TEST_F(PrivateCaptureTest, NodesThatAddTheirOwnNoiseSayNothingOfThemselves) {
  StartJob(kAgentNoise);
  StartAgent();

  const std::string sent = CaptureJob();

  EXPECT_THAT(sent, HasSubstr("node-0003"));
  EXPECT_THAT(FindForms(Secrets(), sent), IsEmpty());
}

TEST_F(PrivateCaptureTest, ANodeWithBrokenDataSaysThatItIsBrokenAndNoMore) {
  StartJob(kGradientRounds);
  StartAgent("", "secret-site-broken");

  const std::string sent = CaptureJob();

  EXPECT_THAT(agent_->standard_error(),
              AllOf(HasSubstr("secret-site-broken"), HasSubstr(std::to_string(kRows - 1))))
      << "the row is named in the site's own log";
  EXPECT_THAT(FindForms(Secrets(), sent), IsEmpty());
}

TEST_F(PrivateCaptureTest, ARefusalByTheSitesBudgetGivesNoReasonAway) {
  StartJob(kGradientRounds);
  StartAgent(", epsilon_total: 0.00123456");
  ASSERT_TRUE(agent_->WaitForText("cannot train in this job", 5)) << agent_->standard_error();
  agent_->Signal(SIGTERM);
  agent_->WaitForExit();

  const std::string sent = proxy_->Finish();

  EXPECT_THAT(agent_->standard_error(), HasSubstr("0.00123456"));
  EXPECT_THAT(sent, AllOf(HasSubstr("node-0003"), Not(HasSubstr("0.0012"))));
  EXPECT_THAT(FindForms(Secrets(), sent), IsEmpty());
}

TEST_F(PrivateCaptureTest, ARefusalByTheSitesPolicyGivesNoReasonAway) {
  StartJob(kGradientRounds);
  StartAgent(", epsilon_max: 0.00123456");
  ASSERT_TRUE(agent_->WaitForText("this site refuses the job")) << agent_->standard_error();
  agent_->Signal(SIGTERM);
  agent_->WaitForExit();

  const std::string sent = proxy_->Finish();

  EXPECT_THAT(agent_->standard_error(), HasSubstr("0.00123456"));
  EXPECT_THAT(sent, Not(HasSubstr("0.0012")));
  EXPECT_THAT(FindForms(Secrets(), sent), IsEmpty());
}

}  // namespace
}  // namespace skerry
