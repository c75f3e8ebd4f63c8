#include "common/config/agent_loader.h"

#include <fmt/format.h>

#include "tests/common/config/job_text.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kKey[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";  // RFC 32's example key

constexpr char kAgent[] = R"(version: 1
identity: {process: site-a, keys: /keys}
coordinator:
  address: tcp://10.0.0.1:7700
  public_key: "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
nodes:
  - id: site-a-0
    data: {id: fashion, dataset: fashion_mnist}
)";

std::vector<std::string> ErrorsWith(const std::vector<std::string>& overrides) {
  return Lines(ReadAgent(kAgent, "agent.yaml", overrides).errors);
}

TEST(AgentLoaderTest, SmallestAgentTakesTheSafeDefaults) {
  ASSERT_OK_AND_ASSIGN(const AgentConfig agent, ParseAgent(kAgent, "agent.yaml"));

  EXPECT_EQ(agent.identity, (IdentityConfig{.process = "site-a", .keys = "/keys"}));
  EXPECT_EQ(agent.coordinator.public_key, kKey);
  ASSERT_EQ(agent.nodes.size(), 1u);
  EXPECT_EQ(agent.nodes[0].id, "site-a-0");
  EXPECT_EQ(agent.nodes[0].line, 7);
  EXPECT_EQ(agent.nodes[0].data.path, "/usr/share/datasets/fashion-mnist");
  EXPECT_EQ(agent.device, "cpu");
  EXPECT_EQ(agent.resources, ResourcesConfig());
  EXPECT_FALSE(agent.policy.allow_plain);
  EXPECT_EQ(agent.policy.cohort_min, 5);
  EXPECT_EQ(agent.policy.survivors_min, 3);
  EXPECT_EQ(agent.policy.colluders_min, std::nullopt);  // follows the roster
  EXPECT_FALSE(agent.policy.require_privacy);
  EXPECT_FALSE(agent.policy.allow_coordinator_noise);
  EXPECT_EQ(agent.policy.epsilon_max, std::nullopt);
  EXPECT_EQ(agent.policy.epsilon_total, 10.0);
  EXPECT_EQ(agent.policy.delta_total, 1e-5);
  EXPECT_EQ(agent.policy.clip_norm_max, std::nullopt);
  EXPECT_EQ(agent.ledger, std::nullopt);  // beside the keys
}

TEST(AgentLoaderTest, EveryKeyReachesItsField) {
  ASSERT_OK_AND_ASSIGN(const AgentConfig agent, ParseAgent(R"(
version: 1
identity: {process: p, keys: k, roster: r.txt, roster_sha256:
           0123456789abcdefABCDEF01234567890123456789abcdefABCDEF0123456789}
coordinator: {address: "ipc:///run/skerry"}
nodes:
  - {id: a, data: {id: d, dataset: csv, path: x.csv, label: y, examples_max: 7}}
  - {id: b, data: {id: d, dataset: npy, path: folder}}
device: cuda:1
resources: {workers: 2, threads_per_worker: 3, upload_memory_mb: 4, spool: /var/tmp}
policy: {allow_plain: true, cohort_min: 3, survivors_min: 4, colluders_min: 1, rounds_max: 9,
         local_epochs_max: 2, models: [mlp, layers], require_privacy: true,
         allow_coordinator_noise: true, epsilon_max: 2.5,
         epsilon_total: 8, delta_total: 1.0e-6, clip_norm_max: 1.5}
ledger: /var/lib/skerry/spent.jsonl
)",
                                                           "agent.yaml"));

  EXPECT_EQ(agent.coordinator, (CoordinatorAddressConfig{"ipc:///run/skerry", std::nullopt}));
  ASSERT_EQ(agent.nodes.size(), 2u);
  EXPECT_EQ(agent.nodes[0].data.label, "y");
  EXPECT_EQ(agent.nodes[0].data.examples_max, 7);
  EXPECT_EQ(agent.nodes[1].data.dataset, DatasetKind::kNpy);
  EXPECT_EQ(agent.device, "cuda:1");
  EXPECT_EQ(agent.resources, (ResourcesConfig{2, 3, 4, "/var/tmp"}));
  EXPECT_EQ(
      agent.identity,
      (IdentityConfig{
          .process = "p",
          .keys = "k",
          .roster = "r.txt",
          .roster_sha256 = "0123456789abcdefabcdef01234567890123456789abcdefabcdef0123456789"}));
  EXPECT_EQ(agent.policy, (SitePolicyConfig{.allow_plain = true,
                                            .cohort_min = 3,
                                            .survivors_min = 4,
                                            .colluders_min = 1,
                                            .rounds_max = 9,
                                            .local_epochs_max = 2,
                                            .models = {ModelName::kMlp, ModelName::kLayers},
                                            .require_privacy = true,
                                            .allow_coordinator_noise = true,
                                            .epsilon_max = 2.5,
                                            .epsilon_total = 8.0,
                                            .delta_total = 1e-6,
                                            .clip_norm_max = 1.5}));
  EXPECT_EQ(agent.ledger, "/var/lib/skerry/spent.jsonl");
}

TEST(AgentLoaderTest, EmptyFileMissesTheRequiredSections) {
  EXPECT_THAT(Lines(ReadAgent("", "agent.yaml").errors),
              ElementsAre("agent.yaml: version is missing", "agent.yaml: identity is missing",
                          "agent.yaml: coordinator is missing", "agent.yaml: nodes is missing"));
}

TEST(AgentLoaderTest, KeyIsRequiredOnTcpOnly) {
  EXPECT_THAT(ErrorsWith({"coordinator={address: 'tcp://h:1'}"}),
              ElementsAre(HasSubstr("coordinator.public_key is missing: over TCP")));
  EXPECT_THAT(ErrorsWith({"coordinator={address: 'tcp://h:1', public_key: null}"}),
              ElementsAre(HasSubstr("coordinator.public_key is missing")));
  EXPECT_THAT(ErrorsWith({"coordinator={address: 'ipc://a'}"}), IsEmpty());
}

TEST(AgentLoaderTest, KeyIsFortyZ85Characters) {
  EXPECT_THAT(ErrorsWith({"coordinator.public_key=short"}),
              ElementsAre("--set coordinator.public_key: coordinator.public_key must be 40 Z85 "
                          "characters, got 5 characters"));
  EXPECT_THAT(ErrorsWith({"coordinator.public_key=\"" + std::string(39, 'a') + "~\""}),
              ElementsAre(HasSubstr("got 40 characters not all Z85")));
}

TEST(AgentLoaderTest, HashOfTheRosterIsSixtyFourDigitsOfANamedRoster) {
  const std::string hash(64, '7');
  const auto errors = [](const std::string& identity) {
    return ErrorsWith({"identity={process: a, keys: k, " + identity + "}"});
  };

  EXPECT_THAT(errors("roster: r, roster_sha256: " + hash), IsEmpty());
  EXPECT_THAT(errors("roster: r, roster_sha256: null"), IsEmpty());
  EXPECT_THAT(errors("roster_sha256: " + hash),
              ElementsAre(HasSubstr("identity.roster_sha256 is the hash of identity.roster, which "
                                    "is missing")));
  EXPECT_THAT(errors("roster: r, roster_sha256: " + hash + "7"),
              ElementsAre(HasSubstr("identity.roster_sha256 must be 64 hexadecimal digits")));
  EXPECT_THAT(errors("roster: r, roster_sha256: " + hash.substr(1) + "g"),
              ElementsAre(HasSubstr("identity.roster_sha256 must be 64 hexadecimal digits")));
}

TEST(AgentLoaderTest, AddressIsOneToDial) {
  EXPECT_THAT(ErrorsWith({"coordinator.address=tcp://*:7700"}),
              ElementsAre(HasSubstr("--set coordinator.address: coordinator.address must be")));
  EXPECT_THAT(ErrorsWith({"coordinator.address=host:7700"}),
              ElementsAre(HasSubstr("must be tcp://host:port or ipc://path, got host:7700")));
}

TEST(AgentLoaderTest, NodesAreAtLeastOneWithUniqueIds) {
  EXPECT_THAT(ErrorsWith({"nodes=[]"}),
              ElementsAre("--set nodes: nodes must list at least one node"));
  EXPECT_THAT(ErrorsWith({"nodes=[{id: a, data: {id: f}}, {id: a, data: {id: f}}]"}),
              ElementsAre("--set nodes: nodes[1].id a is also the id of nodes[0]: ids are unique"));
  EXPECT_THAT(ErrorsWith({"nodes=[{}]"}), ElementsAre(HasSubstr("nodes[0].data is missing"),
                                                      HasSubstr("nodes[0].id is missing")));
}

TEST(AgentLoaderTest, NamesAreLimitedToTheRostersCharacters) {
  EXPECT_THAT(ErrorsWith({"nodes.0.id=" + std::string(64, 'a')}), IsEmpty());
  for (const std::string& id : {std::string(65, 'a'), std::string("a b"), std::string("a/b"),
                                std::string("\"\xC3\xA9\"")}) {
    EXPECT_THAT(ErrorsWith({"nodes.0.id=" + id}),
                ElementsAre(HasSubstr("nodes[0].id must be 1 to 64 characters of")));
  }
  EXPECT_THAT(ErrorsWith({"identity.process=a:b"}),
              ElementsAre(HasSubstr("identity.process must be 1 to 64 characters of")));
}

TEST(AgentLoaderTest, NodesHaveDataButNoPartition) {
  EXPECT_THAT(ErrorsWith({"nodes.0.data.partition={scheme: iid}"}),
              ElementsAre(HasSubstr("nodes[0].data.partition is not a known key")));
  EXPECT_THAT(ErrorsWith({"nodes.0.data={id: a, dataset: csv, path: a.csv}"}),
              ElementsAre(HasSubstr("nodes[0].data.label is missing: dataset csv needs")));
}

TEST(AgentLoaderTest, DeviceIsTheCpuOrANumberedGpu) {
  for (const char* device : {"cpu", "cuda:0", "cuda:127"}) {
    EXPECT_THAT(ErrorsWith({std::string("device=") + device}), IsEmpty());
  }
  for (const char* device : {"gpu", "cuda", "cuda:", "cuda:128", "cuda:-1", "cuda:1x", "CPU"}) {
    EXPECT_THAT(ErrorsWith({fmt::format("device='{}'", device)}),
                ElementsAre(HasSubstr("device must be cpu or cuda:N")));
  }
}

TEST(AgentLoaderTest, RangesAndWordsAreChecked) {
  for (const char* override_text :
       {"resources.workers=0", "resources.threads_per_worker=0", "resources.upload_memory_mb=-1",
        "policy.cohort_min=0", "policy.survivors_min=0", "policy.survivors_min=100001",
        "policy.colluders_min=-1", "policy.colluders_min=null", "policy.rounds_max=0",
        "policy.local_epochs_max=-1", "policy.epsilon_max=0", "policy.epsilon_total=0",
        "policy.epsilon_total=1001", "policy.epsilon_total=none", "policy.delta_total=0",
        "policy.delta_total=1", "policy.delta_total=null", "policy.clip_norm_max=0",
        "policy.require_privacy=null"}) {
    EXPECT_THAT(ErrorsWith({override_text}), ElementsAre(HasSubstr(" must be ")));
  }
  EXPECT_THAT(ErrorsWith({"policy.models=[mlp, resnet]"}),
              ElementsAre(HasSubstr("policy.models[1] must be one of mlp, cnn")));
  EXPECT_THAT(ErrorsWith({"policy.alow_plain=true"}),
              ElementsAre(HasSubstr("did you mean allow_plain?")));
}

TEST(AgentLoaderTest, NullLiftsALimitOfTheBudget) {
  ASSERT_OK_AND_ASSIGN(const AgentConfig agent,
                       ParseAgent(kAgent, "agent.yaml", {"policy.epsilon_total=null"}));

  EXPECT_EQ(agent.policy.epsilon_total, std::nullopt);
}

TEST(AgentLoaderTest, AllErrorsAreReportedAtOnce) {
  EXPECT_THAT(Lines(ReadAgent("version: 1\n"
                              "identity: {process: a b}\n"
                              "coordinator: {address: 'tcp://h:0'}\n"
                              "nodes:\n"
                              "  - {id: a, dta: {}}\n"
                              "device: tpu\n",
                              "agent.yaml")
                        .errors),
              ElementsAre(HasSubstr("agent.yaml:2: identity.keys is missing"),
                          HasSubstr("agent.yaml:2: identity.process must be 1 to 64"),
                          HasSubstr("agent.yaml:3: coordinator.address must be tcp"),
                          HasSubstr("agent.yaml:3: coordinator.public_key is missing"),
                          HasSubstr("agent.yaml:5: nodes[0].data is missing"),
                          HasSubstr("agent.yaml:5: nodes[0].dta is not a known key"),
                          HasSubstr("agent.yaml:6: device must be cpu")));
}

}  // namespace
}  // namespace skerry
