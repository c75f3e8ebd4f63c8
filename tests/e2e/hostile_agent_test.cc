// A process with good keys and a place in the roster that says what it should not: for others, out
// of turn, twice, beyond every size. Real coordinator and agents over TCP; the test speaks for one
// process. Each word is refused and counted, and the round of the others goes on.
//
// A NaN cannot be said at all: an update is whole numbers. What comes next to it is an update of
// numbers that no float of the job's range gives.
#include <functional>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/config/job_loader.h"
#include "common/identity/join_proof.h"
#include "common/identity/key_files.h"
#include "common/identity/z85.h"
#include "common/protocol/codec.h"
#include "common/protocol/limits.h"
#include "common/secagg/job_encoding.h"
#include "common/transport/dealer_endpoint.h"
#include "coordinator/store/run_history.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::ElementsAreArray;

constexpr int kHostile = 3;  // hosts node-0006 and node-0007
constexpr const char* kOurs = "node-0006";
constexpr const char* kOursToo = "node-0007";
constexpr const char* kForeign = "node-0000";
constexpr uint64_t kFar = uint64_t{1} << 62;

std::string EightNodes() {
  return R"(version: 1
seed: 7
model: {input: [1, 28, 28], layers: [flatten, linear: {out: 10}]}
data: {id: fashion, dataset: fashion_mnist, examples_max: 800, partition: {scheme: iid}}
training: {local_epochs: 1, batch_size: 20, optimizer: {name: sgd, learning_rate: 0.1}}
round: {count: 3, nodes: 8, quorum: 6, stall_timeout_ms: 60000, wait_timeout_ms: 120000}
evaluation: {every_rounds: 0}
)";
}

// What the coordinator says of one node in one round.
struct Verdict {
  std::string node;
  proto::RejectReason reason = proto::REJECT_REASON_UNSPECIFIED;

  bool operator==(const Verdict&) const = default;
};
void PrintTo(const Verdict& verdict, std::ostream* out) {
  *out << verdict.node << ": " << protocol::Describe(verdict.reason);
}

// Joins as an agent does and then says what the test wants.
class HostileAgent {
 public:
  explicit HostileAgent(const Deployment& deployment) {
    const std::string folder = fmt::format("{}/process-{}", deployment.key_folder(), kHostile);
    keys_ = ReadProcessKeys(folder).value();
    const CurvePublicKey server =
        ReadCurvePublicFile(CoordinatorPublicPath(deployment.key_folder())).value();
    DealerOptions options;
    options.address = deployment.endpoint();
    options.keys = DealerKeys{.public_key_z85 = Z85Encode(keys_->curve.public_key().bytes()),
                              .secret_key_z85 = Z85Encode(keys_->curve.secret().bytes()),
                              .coordinator_public_key_z85 = Z85Encode(server.bytes())};
    options.link.envelope_bytes_max = protocol::kEnvelopeBytesMax;
    options.link.raw_bytes_max = protocol::kRawFrameBytesMax;
    dealer_.emplace(DealerEndpoint::Create(std::move(options), Rng(1)).value());
  }

  // What to do with a round's task, with a grant, and with what is said of an update.
  std::function<void(const proto::RoundTask&)> on_task;
  std::function<void(const proto::UploadGrant&)> on_grant = [](const proto::UploadGrant&) {};
  std::function<void(proto::RejectReason)> on_verdict = [](proto::RejectReason) {};

  // Takes part until the coordinator has ended.
  void RunUntilTheEnd(Subprocess& coordinator) {
    while (coordinator.ReadFor(milliseconds(1))) {
      DealerPoll poll = dealer_->Poll(milliseconds(20), SystemClock().Now());
      if (poll.is_link_up) SayHello();
      for (const Message& message : poll.messages) Take(message);
    }
  }

  void Say(const proto::Envelope& envelope, std::optional<Frame> raw = std::nullopt) {
    SayBytes(protocol::Encode(envelope), std::move(raw));
  }
  void SayBytes(std::string bytes, std::optional<Frame> raw = std::nullopt) {
    ASSERT_TRUE(dealer_->Send({.envelope = Frame::Own(std::move(bytes)), .raw = std::move(raw)}));
  }
  void Offer(const std::string& node, uint64_t round, uint64_t bytes, uint64_t content_id = 1,
             uint32_t attempt = 1, std::optional<Frame> raw = std::nullopt) {
    proto::Envelope envelope;
    proto::UploadOffer& offer = *envelope.mutable_upload_offer();
    offer.set_node(node);
    offer.set_round(round);
    offer.set_attempt(attempt);
    offer.set_bytes(bytes);
    offer.set_content_id(content_id);
    Say(envelope, std::move(raw));
  }
  void Chunk(const std::string& node, uint64_t round, uint64_t content_id, uint64_t offset,
             size_t size) {
    proto::Envelope envelope;
    proto::UploadChunk& chunk = *envelope.mutable_upload_chunk();
    chunk.set_node(node);
    chunk.set_round(round);
    chunk.set_content_id(content_id);
    chunk.set_offset(offset);
    Say(envelope, Frame::Own(std::string(size, '\x7f')));
  }
  void Fail(const std::string& node, uint64_t round) {
    proto::Envelope envelope;
    proto::NodeFailure& failure = *envelope.mutable_node_failure();
    failure.set_node(node);
    failure.set_round(round);
    failure.set_attempt(1);
    failure.set_reason(proto::REJECT_REASON_NOT_FINITE);
    Say(envelope);
  }

  // With the weight of one example, and well-formed.
  Frame UpdateOfZeros() const {
    std::vector<RingElement> words(upload_bytes_ / sizeof(RingElement));
    words[layout_.weight_index()] = 1;
    const std::span<const uint8_t> bytes = AsBytes(std::span<const RingElement>(words));
    return Frame::Own(std::vector<uint8_t>(bytes.begin(), bytes.end()));
  }

  uint64_t upload_bytes() const { return upload_bytes_; }
  const std::vector<Verdict>& join_verdicts() const { return join_verdicts_; }
  const std::vector<Verdict>& verdicts() const { return verdicts_; }

 private:
  void SayHello() {
    proto::Envelope envelope;
    proto::Hello& hello = *envelope.mutable_hello();
    hello.set_version_min(protocol::kVersionMin);
    hello.set_version_max(protocol::kVersionMax);
    hello.set_process(fmt::format("process-{}", kHostile));
    Say(envelope);
  }

  // Joins its own nodes, and with the first one's signature somebody else's.
  void Join(const proto::Welcome& welcome) {
    const JobConfig job = ParseJob(welcome.job_yaml(), "job", {}).value();
    size_t parameters = 0;
    for (const proto::TensorInfo& tensor : welcome.layout()) {
      size_t count = 1;
      for (const int64_t size : tensor.sizes()) count *= static_cast<size_t>(size);
      parameters += count;
    }
    layout_ = EncodingOf(job, parameters).value().layout();
    upload_bytes_ = layout_.size() * sizeof(RingElement);
    proto::Envelope envelope;
    const std::string& nonce = welcome.nonce();
    const auto prove = [&](const NodeId& node, const Ed25519SecretKey& key) {
      proto::NodeProof& proof = *envelope.mutable_join()->add_nodes();
      proof.set_node(node.value());
      const Ed25519Signature signature =
          SignJoin({.nonce = {reinterpret_cast<const uint8_t*>(nonce.data()), nonce.size()},
                    .run_id = RunId(welcome.run_id()),
                    .version = welcome.version(),
                    .node = node,
                    .process = ProcessName(fmt::format("process-{}", kHostile))},
                   key);
      proof.set_signature(signature.data(), signature.size());
    };
    for (const NodeKey& node : keys_->nodes) prove(node.id, node.key);
    prove(NodeId(kForeign), keys_->nodes.front().key);
    Say(envelope);
  }

  void Take(const Message& message) {
    const proto::Envelope envelope = protocol::Decode(message.envelope.bytes()).value();
    if (envelope.has_welcome()) Join(envelope.welcome());
    if (envelope.has_join_result()) Note(envelope.join_result().nodes(), join_verdicts_);
    if (envelope.has_round_task()) on_task(envelope.round_task());
    if (envelope.has_upload_grant()) on_grant(envelope.upload_grant());
    if (envelope.has_upload_result()) {
      Note(envelope.upload_result().nodes(), verdicts_);
      on_verdict(verdicts_.back().reason);
    }
  }

  template <typename Nodes>
  static void Note(const Nodes& nodes, std::vector<Verdict>& verdicts) {
    for (const proto::NodeVerdict& verdict : nodes) {
      verdicts.push_back({verdict.node(), verdict.reason()});
    }
  }

  std::optional<ProcessKeys> keys_;
  std::optional<DealerEndpoint> dealer_;
  UpdateLayout layout_;
  uint64_t upload_bytes_ = 0;
  std::vector<Verdict> join_verdicts_;
  std::vector<Verdict> verdicts_;
};

class HostileAgentTest : public testing::Test {
 protected:
  void SetUp() override {
    deployment_.StartCoordinator(EightNodes());
    for (int process = 0; process < kHostile; ++process) deployment_.StartAgent(process);
    hostile_.emplace(deployment_);
  }

  // What the coordinator says of a reason when the run ends.
  uint64_t Refusals(proto::RejectReason reason) {
    const std::string& log = deployment_.coordinator().standard_error();
    const size_t line = log.find("refused in all: ");
    if (line == std::string::npos) return 0;
    const std::string text = log.substr(line, log.find('\n', line) - line) + ",";
    const size_t end = text.find(fmt::format(" x {},", protocol::Describe(reason)));
    if (end == std::string::npos) return 0;
    return std::stoull(text.substr(text.rfind(' ', end - 1)));
  }

  Deployment deployment_{{.nodes = 8, .processes = 4, .link = Deployment::Link::kTcp}};
  std::optional<HostileAgent> hostile_;
};

TEST_F(HostileAgentTest, WhatItSaysForOthersOutOfTurnOrBeyondEverySizeIsRefusedAndCounted) {
  HostileAgent& agent = *hostile_;
  agent.on_task = [&agent](const proto::RoundTask& task) {
    const uint64_t round = task.round();
    if (round != 2) {
      for (const std::string& node : task.nodes()) agent.Fail(node, round);
      return;
    }
    // Everybody else takes part by now.
    agent.Offer(kForeign, round, agent.upload_bytes());
    proto::Envelope progress;
    progress.mutable_progress()->set_round(round);
    progress.mutable_progress()->add_nodes()->set_node(kForeign);
    agent.Say(progress);
    agent.Fail(kForeign, round);
    agent.Fail(kForeign, 0);
    agent.Offer("nobody", round, agent.upload_bytes());
    agent.Offer(kOurs, round + 1, agent.upload_bytes());
    agent.Offer(kOurs, round - 1, agent.upload_bytes());
    agent.Offer(kOurs, round, agent.upload_bytes(), 1, 7);
    // No session of secure aggregation in this job.
    proto::Envelope shares;
    shares.mutable_unmask_shares()->set_node(kOursToo);
    shares.mutable_unmask_shares()->set_round(round);
    shares.mutable_unmask_shares()->set_attempt(1);
    shares.mutable_unmask_shares()->set_shares(std::string(protocol::kShareBytes, '\1'));
    agent.Say(shares);
    agent.Offer(kOurs, round, kFar);
    agent.Offer(kOurs, round, agent.upload_bytes());
    // Without an answer, but counted.
    agent.Chunk(kForeign, round, 1, 0, 64);
    agent.Chunk(kOurs, round, 1, kFar, 64);
    proto::Envelope request;
    request.mutable_model_request()->set_model_version(99);
    agent.Say(request);
    request.mutable_model_request()->set_model_version(task.model_version());
    request.mutable_model_request()->set_offset(kFar);
    request.mutable_model_request()->set_credit_until(std::numeric_limits<uint64_t>::max());
    agent.Say(request);
    proto::Envelope welcome;
    welcome.mutable_job_end()->set_completed(true);
    agent.Say(welcome);
    agent.SayBytes("not a message");
    // And without any effect.
    proto::Envelope leave;
    leave.mutable_leave()->add_nodes(kForeign);
    agent.Say(leave);
  };

  agent.RunUntilTheEnd(deployment_.coordinator());

  const nlohmann::json result = deployment_.Result();
  ASSERT_EQ(result.value("status", ""), "completed") << deployment_.coordinator().standard_error();
  EXPECT_THAT(agent.join_verdicts(),
              ElementsAreArray<Verdict>({{kOurs, proto::REJECT_REASON_UNSPECIFIED},
                                         {kOursToo, proto::REJECT_REASON_UNSPECIFIED},
                                         {kForeign, proto::REJECT_REASON_WRONG_PROCESS}}));
  EXPECT_THAT(agent.verdicts(),
              ElementsAreArray<Verdict>({{kForeign, proto::REJECT_REASON_NODE_ELSEWHERE},
                                         {kForeign, proto::REJECT_REASON_NODE_ELSEWHERE},
                                         {kForeign, proto::REJECT_REASON_NODE_ELSEWHERE},
                                         {kForeign, proto::REJECT_REASON_NODE_ELSEWHERE},
                                         {"nobody", proto::REJECT_REASON_NOT_IN_ROSTER},
                                         {kOurs, proto::REJECT_REASON_WRONG_ROUND},
                                         {kOurs, proto::REJECT_REASON_ROUND_CLOSED},
                                         {kOurs, proto::REJECT_REASON_WRONG_ROUND},
                                         {kOursToo, proto::REJECT_REASON_UNKNOWN_MESSAGE},
                                         {kOurs, proto::REJECT_REASON_WRONG_LENGTH},
                                         {kOurs, proto::REJECT_REASON_WRONG_LENGTH}}));
  EXPECT_GE(Refusals(proto::REJECT_REASON_NODE_ELSEWHERE), 4u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_NOT_IN_ROSTER), 1u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_WRONG_PROCESS), 1u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_WRONG_ROUND), 3u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_ROUND_CLOSED), 1u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_WRONG_LENGTH), 2u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_OUT_OF_PHASE), 2u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_UNKNOWN_MESSAGE), 1u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_MALFORMED), 3u);
  // The others were neither failed nor sent away.
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment_.run_dir()));
  std::vector<NodeId> others;
  for (int node = 0; node < 6; ++node) others.emplace_back(fmt::format("node-{:04}", node));
  EXPECT_THAT(Survivors(history), ElementsAre(others, others, others));
}

TEST_F(HostileAgentTest, AnUpdateOfNumbersThatNoFloatGivesIsRefusedAndASecondOneTakesNoPlace) {
  HostileAgent& agent = *hostile_;
  agent.on_task = [&agent](const proto::RoundTask& task) {
    if (task.round() == 2) {
      agent.Offer(kOurs, 2, agent.upload_bytes(), 6, 1, agent.UpdateOfZeros());
      return;  // the other node keeps the round open
    }
    agent.Fail(kOursToo, task.round());
    if (task.round() == 1) agent.Offer(kOurs, 1, agent.upload_bytes(), 5);
    if (task.round() == 3) agent.Fail(kOurs, 3);
  };
  agent.on_verdict = [&agent](proto::RejectReason reason) {
    if (reason == proto::REJECT_REASON_UNSPECIFIED) {
      agent.Offer(kOurs, 2, agent.upload_bytes(), 7, 1, agent.UpdateOfZeros());
    }
    if (reason == proto::REJECT_REASON_DUPLICATE) agent.Fail(kOursToo, 2);
  };
  agent.on_grant = [&agent](const proto::UploadGrant& grant) {
    agent.Chunk(kOurs, 1, 5, kFar, 64);
    agent.Chunk(kOurs, 1, 99, grant.offset(), 64);
    agent.Chunk(kOurs, 1, 5, grant.offset(), agent.upload_bytes());
  };

  agent.RunUntilTheEnd(deployment_.coordinator());

  const nlohmann::json result = deployment_.Result();
  ASSERT_EQ(result.value("status", ""), "completed") << deployment_.coordinator().standard_error();
  EXPECT_THAT(agent.verdicts(),
              ElementsAreArray<Verdict>({{kOurs, proto::REJECT_REASON_MALFORMED},
                                         {kOurs, proto::REJECT_REASON_UNSPECIFIED},
                                         {kOurs, proto::REJECT_REASON_DUPLICATE}}));
  EXPECT_GE(Refusals(proto::REJECT_REASON_MALFORMED), 2u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_OUT_OF_PHASE), 1u);
  EXPECT_GE(Refusals(proto::REJECT_REASON_DUPLICATE), 1u);
  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(deployment_.run_dir()));
  const std::vector<std::vector<NodeId>> survivors = Survivors(history);
  ASSERT_EQ(survivors.size(), 3u);
  EXPECT_EQ(survivors[0].size(), 6u);
  EXPECT_EQ(survivors[1].size(), 7u);
  EXPECT_EQ(survivors[2].size(), 6u);
}

}  // namespace
}  // namespace skerry
