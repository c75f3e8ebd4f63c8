// A session machine in a test: what goes in is written down in one line, what comes out is kept
// until the test looks at it. Plays the shell and, as far as a test says so, the coordinator.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/session/session_machine.h"
#include "common/base/bytes.h"
#include "common/crypto/sha256.h"
#include "tests/support/fake_secagg_crypto.h"
#include "tests/support/memory_spool.h"
#include "tests/support/scripted_random.h"
#include "tests/support/small_job.h"

namespace skerry {

inline constexpr int64_t kParameters = 8;
inline constexpr auto kSecond = std::chrono::seconds(1);

inline std::string Sha256Text(std::span<const uint8_t> bytes) {
  const Sha256Digest digest = Sha256Of(bytes);
  return {digest.begin(), digest.end()};
}

inline constexpr Duration kNever = std::chrono::hours(24 * 365);

inline SessionOptions HarnessOptions(int node_count = 3) {
  SessionOptions options;
  options.process = ProcessName("agent-0");
  for (int i = 0; i < node_count; ++i) options.nodes.emplace_back("n-" + std::to_string(i));
  options.policy = {.allow_plain = true, .cohort_min = 1};
  options.ping_interval = kNever;  // for ping_test.cc only
  return options;
}

class SessionHarness {
 public:
  explicit SessionHarness(SessionOptions session_options = HarnessOptions())
      : options(std::move(session_options)), machine(options, Functions(), Rng(7)) {
    for (int64_t i = 0; i < kParameters; ++i) model.push_back(0.5f * static_cast<float>(i));
    job.round.count = 5;
  }

  // ---- what the shell says ---------------------------------------------------------------------

  // Nothing will happen by itself.
  bool IsAtRest() const {
    const std::optional<Instant> deadline = machine.NextDeadline();
    return !deadline || *deadline >= Instant() + kNever;
  }

  void Feed(const SessionInput& input) { machine.Handle(input, now, out); }
  void LinkUpNow() { Feed(LinkUp{}); }
  void LinkDownNow() { Feed(LinkDown{"cut"}); }
  void Wait(Duration duration) {
    now += duration;
    machine.HandleDeadline(now, out);
  }
  // Answers the newest LoadDataWork.
  void DataReady(std::vector<DataProblem> problems = {}) {
    const LoadDataWork loading = LastWork<LoadDataWork>();
    Feed(DataLoaded{.loading = loading.loading, .problems = std::move(problems)});
  }
  void Finish(const TrainWork& work, std::vector<uint8_t> upload) {
    Feed(TrainDone{.training = work.training,
                   .outcome = TrainDone::Outcome::kFinished,
                   .upload = Frame::Own(std::move(upload))});
  }
  void Finish(const TrainWork& work) { Finish(work, {1, 2, 3, 4}); }

  // ---- what the coordinator says ---------------------------------------------------------------

  void Hear(const proto::Envelope& message,
            std::optional<std::span<const uint8_t>> raw = std::nullopt) {
    machine.HandleMessage(message, raw, now, out);
  }
  proto::Envelope WelcomeMessage() const {
    proto::Envelope envelope;
    proto::Welcome& welcome = *envelope.mutable_welcome();
    welcome.set_version(1);
    welcome.set_run_id(run_id);
    welcome.set_nonce(nonce);
    welcome.set_job_yaml("the job");
    welcome.set_roster_size(roster_size);
    welcome.set_roster_hash(std::string(32, 'h'));
    for (const TensorShape& tensor : layout->tensors()) {
      proto::TensorInfo& info = *welcome.add_layout();
      info.set_name(tensor.name);
      for (const int64_t size : tensor.sizes) info.add_sizes(size);
    }
    return envelope;
  }
  proto::Envelope JoinResultMessage(
      proto::RejectReason reason = proto::REJECT_REASON_UNSPECIFIED) const {
    proto::Envelope envelope;
    for (const NodeId& node : options.nodes) {
      proto::NodeVerdict& verdict = *envelope.mutable_join_result()->add_nodes();
      verdict.set_node(node.value());
      verdict.set_reason(reason);
    }
    return envelope;
  }
  proto::Envelope TaskMessage(uint64_t round, const std::vector<std::string>& nodes) const {
    proto::Envelope envelope;
    proto::RoundTask& task = *envelope.mutable_round_task();
    task.set_round(round);
    task.set_attempt(1);
    task.set_model_version(round - 1);
    task.set_model_bytes(model.size() * sizeof(float));
    task.set_model_sha256(Sha256Text(AsBytes(std::span<const float>(model))));
    task.set_scale_bits(16);
    for (const std::string& node : nodes) task.add_nodes(node);
    return envelope;
  }
  std::span<const uint8_t> model_bytes() const { return AsBytes(std::span<const float>(model)); }
  void Task(uint64_t round, const std::vector<std::string>& nodes) {
    Hear(TaskMessage(round, nodes), model_bytes());
  }
  void TaskWithoutModel(uint64_t round, const std::vector<std::string>& nodes) {
    Hear(TaskMessage(round, nodes));
  }
  void Result(uint64_t round, const std::string& node,
              proto::RejectReason reason = proto::REJECT_REASON_UNSPECIFIED) {
    proto::Envelope envelope;
    envelope.mutable_upload_result()->set_round(round);
    proto::NodeVerdict& verdict = *envelope.mutable_upload_result()->add_nodes();
    verdict.set_node(node);
    verdict.set_reason(reason);
    Hear(envelope);
  }
  void Close(uint64_t round) {
    proto::Envelope envelope;
    envelope.mutable_round_closed()->set_round(round);
    envelope.mutable_round_closed()->set_committed(true);
    Hear(envelope);
  }
  void End(bool completed) {
    proto::Envelope envelope;
    envelope.mutable_job_end()->set_completed(completed);
    Hear(envelope);
  }
  void Refuse(proto::RejectReason reason) {
    proto::Envelope envelope;
    envelope.mutable_refused()->set_reason(reason);
    Hear(envelope);
  }
  void JoinAll() {
    LinkUpNow();
    Hear(WelcomeMessage());
    Hear(JoinResultMessage());
  }
  // Joined, data loaded, nothing left in the outbox.
  void BecomeActive() {
    JoinAll();
    DataReady();
    out = {};
  }

  // ---- what came out ---------------------------------------------------------------------------

  template <typename W>
  std::vector<W> Works() const {
    std::vector<W> works;
    for (const SessionWork& work : out.work) {
      if (const W* found = std::get_if<W>(&work)) works.push_back(*found);
    }
    return works;
  }
  template <typename W>
  W LastWork() const {
    const std::vector<W> works = Works<W>();
    SKERRY_ASSERT(!works.empty());
    return works.back();
  }
  std::vector<proto::Envelope> Sent(proto::Envelope::BodyCase body) const {
    std::vector<proto::Envelope> found;
    for (const proto::Envelope& envelope : out.send) {
      if (envelope.body_case() == body) found.push_back(envelope);
    }
    return found;
  }
  std::vector<SessionEvent> Events(SessionEventKind kind) const {
    std::vector<SessionEvent> found;
    for (const SessionEvent& event : out.report) {
      if (event.kind == kind) found.push_back(event);
    }
    return found;
  }
  std::vector<BulkMessage> PullAll() {
    std::vector<BulkMessage> pulled;
    while (std::optional<BulkMessage> message = machine.NextBulk(now)) {
      pulled.push_back(*std::move(message));
    }
    return pulled;
  }

  SessionFunctions Functions() {
    return {.sign_join =
                [](const NodeClaim& claim) {
                  std::string signature = "signed by " + claim.node.value();
                  signature.resize(protocol::kSignatureBytes, '.');
                  return signature;
                },
            .parse_job = [this](const std::string&) -> absl::StatusOr<JobConfig> { return job; },
            .sha256 = [](std::span<const uint8_t> bytes) { return Sha256Of(bytes); },
            .spool = &spool,
            .identity_of = [](const NodeId& node) -> std::optional<Ed25519PublicKey> {
              if (!node.value().starts_with("n-")) return std::nullopt;  // a stranger
              return FakeSecAggCrypto::KeyOf(node.value());
            },
            .sign =
                [](const NodeId& node, std::span<const uint8_t> message) {
                  return FakeSecAggCrypto::Sign(FakeSecAggCrypto::KeyOf(node.value()), message);
                },
            .crypto = &crypto,
            .random = &random};
  }

  SessionOptions options;
  JobConfig job = SmallJob(kParameters);
  ParameterLayoutPtr layout = SmallLayout(kParameters);
  std::string run_id = std::string(32, 'a');
  std::string nonce = std::string(32, 'n');
  uint32_t roster_size = 8;
  std::vector<float> model;
  MemorySpool spool;
  FakeSecAggCrypto crypto;
  SeededRandom random{11};
  Instant now{};
  SessionOutbox out;
  SessionMachine machine;
};

}  // namespace skerry
