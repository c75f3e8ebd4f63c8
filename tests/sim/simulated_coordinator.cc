#include "tests/sim/simulated_coordinator.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/config/privacy_rules.h"
#include "common/crypto/sha256.h"
#include "common/protocol/codec.h"
#include "common/secagg/job_encoding.h"
#include "tests/support/small_job.h"

namespace skerry {
namespace {

std::shared_ptr<const FakeRoster> MakeRoster(const Scenario& scenario) {
  std::map<ProcessName, std::string> processes;
  std::map<NodeId, FakeRoster::Node> nodes;
  const std::vector<NodeId> names = scenario.nodes();
  for (int i = 0; i < scenario.node_count; ++i) {
    const ProcessName process = scenario.ProcessOf(i);
    processes[process] = "key";
    nodes[names[static_cast<size_t>(i)]] = {.process = process};
  }
  return std::make_shared<const FakeRoster>(std::move(processes), std::move(nodes));
}

}  // namespace

SimulatedCoordinator::SimulatedCoordinator(ClusterContext context, Rng rng)
    : context_(context),
      rng_(rng),
      nonces_(rng_.NextU64()),
      roster_(MakeRoster(context.scenario)),
      layout_(SmallLayout(context.scenario.dimension)) {
  const auto initial = std::make_shared<const ParameterVector>(layout_);
  context_.log.models[ModelVersion(0)] = initial;
  context_.log.standing.model_sha256 = ModelHash(*initial);
}

void SimulatedCoordinator::Start() {
  const Scenario& scenario = context_.scenario;
  RoundPolicy policy;
  policy.seed = scenario.seed;
  policy.round = scenario.round;
  policy.model_bytes = layout_->element_count() * sizeof(float);
  policy.upload_bytes = context_.trainer.encoding().layout().size() * sizeof(RingElement);
  policy.scale_bits = static_cast<uint32_t>(context_.trainer.encoding().scale_bits());
  if (scenario.privacy.enabled) {
    policy.budget = std::make_shared<const BudgetPolicy>(BudgetPolicy{
        .charges_max = scenario.charges_max,
        .is_charged_at_start = scenario.privacy.placement == NoisePlacement::kAgent,
        .is_noise_central = scenario.privacy.placement == NoisePlacement::kCoordinator,
        .noise_multiplier = *scenario.privacy.noise_multiplier,
        .colluders = scenario.secagg.colluders,
        .noisy_survivors = NoisySurvivors(JobOf(scenario)),
        .epsilon_after = [](int64_t charges) { return static_cast<double>(charges); }});
  }
  if (HasSecretCohorts(JobOf(scenario))) policy.secret_cohorts = SecretCohorts();
  if (scenario.secagg.enabled) {
    // Agents sign the scale that they compute from the job.
    policy.scale_bits =
        static_cast<uint32_t>(EncodingOf(JobOf(scenario), layout_->element_count())->scale_bits());
    policy.secagg = std::make_shared<const SecAggPolicy>(
        SecAggPolicy{.run = RunId(std::string(32, 'a')),
                     .job_sha256 = Sha256Of("the job"),
                     .config = scenario.secagg,
                     .identity_of = [](const NodeId& node) -> std::optional<Ed25519PublicKey> {
                       return FakeSecAggCrypto::KeyOf(node.value());
                     },
                     .crypto = &crypto_});
  }
  ++incarnation_;
  process_ = std::unique_ptr<Process>(new Process{
      .membership = Membership(
          {.run_id = RunId(std::string(32, 'a')), .job_yaml = "the job", .layout = layout_},
          roster_, nonces_),
      .machine = RoundMachine(policy, roster_->nodes(), Standing()),
      .models = ModelServer(static_cast<uint64_t>(scenario.chunk_bytes)),
      .uploads = UploadReceiver({.upload_bytes = policy.upload_bytes,
                                 .memory_slots = 2,
                                 .slot_rate_min = scenario.slot_rate_min,
                                 .window_bytes = scenario.window_bytes,
                                 .spool_folder = testing::TempDir()})});
  const ModelVersion version(context_.log.standing.last_committed.value());
  process_->models.Publish(version, context_.log.models.at(version));
  RestoreSum();
  RestoreNoisySum();
  const int incarnation = incarnation_;
  context_.network.Listen(
      {.on_message = [this](PeerId peer,
                            const Message& message) { Enter([&] { OnMessage(peer, message); }); },
       .on_gone =
           [this, incarnation](PeerId peer) {
             if (incarnation != incarnation_) return;
             Enter([&] {
               process_->models.PeerGone(peer);
               MembershipOutbox out;
               process_->membership.HandleGone(peer, "the link broke", out);
               Drain(std::move(out));
             });
           }});
  Enter([this] {
    Outbox out;
    process_->machine.Start(context_.events.now(), out);
    Drain(std::move(out));
  });
}

// Coins that depend on the round alone, so that a run with kills can be held against one without.
// What a crash could have made of them was drawn already: that a round is not drawn again once it
// is durable.
std::shared_ptr<const SecretCohortPolicy> SimulatedCoordinator::SecretCohorts() {
  const Scenario& scenario = context_.scenario;
  const CohortBounds bounds = SecretCohortBounds(JobOf(scenario));
  return std::make_shared<const SecretCohortPolicy>(SecretCohortPolicy{
      .nodes = static_cast<size_t>(scenario.node_count),
      .smallest = static_cast<size_t>(bounds.smallest),
      .largest = static_cast<size_t>(bounds.largest),
      .able_min = 0,
      .is_noise_filled_up = scenario.privacy.placement == NoisePlacement::kDistributed,
      .draw = [this](uint32_t count) {
        RunLog& log = context_.log;
        const RoundId round(process_->machine.data().last_committed.value() + 1);
        if (log.started.contains(round)) {
          log.violations.push_back(fmt::format("round {} was drawn again", round.value()));
        }
        Rng coins = Rng::Derive(context_.scenario.seed, fmt::format("coins {}", round.value()));
        std::vector<uint32_t> positions;
        for (uint32_t i = 0; i < count; ++i) {
          if (coins.Uniform() < context_.scenario.privacy.sampling.rate) positions.push_back(i);
        }
        return positions;
      }});
}

// The noisy sum of the open round, if a process before has stored one.
const RunLog::NoisySum* SimulatedCoordinator::OpenNoisySum() const {
  const RunLog& log = context_.log;
  if (!log.standing.open_round) return nullptr;
  const auto stored =
      log.noisy_sums.find({log.standing.open_round->round, log.standing.open_round->attempt});
  return stored == log.noisy_sums.end() ? nullptr : &stored->second;
}

RestoredRun SimulatedCoordinator::Standing() const {
  RestoredRun standing = context_.log.standing;
  if (const RunLog::NoisySum* noisy = OpenNoisySum()) standing.noisy_survivors = noisy->survivors;
  return standing;
}

void SimulatedCoordinator::RestoreNoisySum() {
  const RunLog::NoisySum* noisy = OpenNoisySum();
  if (noisy == nullptr) return;
  process_->sum = noisy->sum;
  process_->summed = {noisy->survivors.begin(), noisy->survivors.end()};
}

// What a worker of the process before had sealed, if the survivors of a session were fixed.
void SimulatedCoordinator::RestoreSum() {
  const std::optional<proto::SessionState>& session = context_.log.standing.session;
  if (!session) return;
  ++context_.log.sessions_continued;
  if (session->survivors().empty()) return;
  process_->sum = context_.log.sealed_sum;
  const auto count = static_cast<size_t>(session->roster().adverts_size());
  for (const size_t member : MemberSet::Parse(session->survivors(), count)->members()) {
    process_->summed.insert(NodeId(session->roster().adverts(static_cast<int>(member)).node()));
  }
}

// ---- life and death ----------------------------------------------------------------------------

void SimulatedCoordinator::Enter(const std::function<void()>& step) {
  step();
  if (is_dying_) {
    Crash();
    return;
  }
  SendChunks();
  PlanDeadline();
}

void SimulatedCoordinator::Later(Instant when, std::function<void()> step) {
  context_.events.At(when, [this, incarnation = incarnation_, step = std::move(step)] {
    if (incarnation == incarnation_) Enter(step);
  });
}

bool SimulatedCoordinator::Survives(std::string_view step) {
  if (is_dying_) return false;
  context_.log.phase = process_->machine.phase_name();
  is_dying_ = context_.IsKilledAt(ProcessName(), step) ||
              (context_.is_faulty() && crash_count_ < context_.scenario.crash_count_max &&
               rng_.Uniform() < context_.scenario.coordinator_crash_probability);
  return !is_dying_;
}

void SimulatedCoordinator::Crash() {
  is_dying_ = false;
  ++crash_count_;
  ++context_.log.coordinator_crashes;
  ++incarnation_;
  context_.network.StopListening();
  process_.reset();
  if (context_.log.ended) return;
  context_.log.phase = "down";
  const auto down_max = static_cast<uint64_t>(Duration(context_.scenario.down_max).count());
  const Duration down(static_cast<int64_t>(rng_.Below(down_max)));
  context_.log.down += down;
  context_.events.After(down, [this] { Start(); });
}

// ---- inputs ------------------------------------------------------------------------------------

void SimulatedCoordinator::OnMessage(PeerId peer, const Message& message) {
  if (process_->forgotten.contains(peer)) return;
  const absl::StatusOr<proto::Envelope> envelope = protocol::Decode(message.envelope.bytes());
  SKERRY_ASSERT(envelope.ok());
  if (context_.scenario.observe) context_.scenario.observe(*envelope, message);
  MembershipOutbox out;
  const Membership::Route route = process_->membership.HandleMessage(peer, ProcessName(), *envelope,
                                                                     context_.events.now(), out);
  Drain(std::move(out));
  if (route == Membership::Route::kOthers) OnWelcomeMessage(peer, *envelope, message.raw);
}

void SimulatedCoordinator::OnWelcomeMessage(PeerId peer, const proto::Envelope& envelope,
                                            const std::optional<Frame>& raw) {
  const Instant now = context_.events.now();
  if (envelope.has_model_request()) {
    process_->models.HandleRequest(peer, envelope.model_request());
  } else if (envelope.has_upload_chunk()) {
    UploadReceiver::Events events;
    process_->uploads.HandleChunk(peer, envelope.upload_chunk(), *raw, now, events);
    Drain(std::move(events));
  } else {
    Outbox out;
    process_->offered = raw;
    process_->machine.HandleMessage(peer, envelope, raw.has_value(), now, out);
    Drain(std::move(out));
    if (!is_dying_) process_->offered.reset();
  }
}

void SimulatedCoordinator::OnDeadline() {
  const Instant now = context_.events.now();
  MembershipOutbox membership;
  process_->membership.HandleDeadline(now, membership);
  Drain(std::move(membership));
  Outbox out;
  process_->machine.HandleDeadline(now, out);
  Drain(std::move(out));
  UploadReceiver::Events events;
  process_->uploads.HandleDeadline(now, events);
  Drain(std::move(events));
}

void SimulatedCoordinator::PlanDeadline() {
  std::optional<Instant> next;
  for (const std::optional<Instant>& due :
       {process_->membership.NextDeadline(), process_->machine.NextDeadline(),
        process_->uploads.NextDeadline()}) {
    if (due && (!next || *due < *next)) next = due;
  }
  std::optional<Instant>& planned = process_->deadline_at;
  if (!next || (planned && *planned <= *next)) return;
  planned = next;
  Later(*next, [this, at = *next] {
    if (process_->deadline_at != at) return;
    process_->deadline_at.reset();
    OnDeadline();
  });
}

void SimulatedCoordinator::Feed(const Input& input) {
  Outbox out;
  process_->machine.Handle(input, context_.events.now(), out);
  Drain(std::move(out));
}

// ---- outputs -----------------------------------------------------------------------------------

void SimulatedCoordinator::Drain(MembershipOutbox out) {
  for (const OutgoingMessage& message : out.send) {
    if (!Survives("send")) return;
    Send(message);
  }
  for (const PeerId peer : out.forget) {
    process_->forgotten.insert(peer);
    process_->models.PeerGone(peer);
    context_.network.HangUp(peer);
  }
  for (const Input& input : out.round) {
    if (!Survives("hear")) return;
    Feed(input);
  }
}

void SimulatedCoordinator::Drain(Outbox out) {
  if (!Survives("persist")) return;
  for (const Record& record : out.persist) Persist(record);  // one transaction
  for (const OutgoingMessage& message : out.send) {
    if (!Survives("send")) return;
    Send(message);
  }
  for (const Work& work : out.work) {
    if (!Survives("work")) return;
    Do(work);
  }
  for (const UploadOrder& order : out.uploads) {
    if (!Survives("order")) return;
    Handle(order);
  }
}

void SimulatedCoordinator::Drain(UploadReceiver::Events events) {
  for (const OutgoingMessage& message : events.send) {
    if (!Survives("send")) return;
    Send(message);
  }
  for (const UploadAdvanced& input : events.advanced) {
    if (Survives("hear")) Feed(input);
  }
  for (const UploadComplete& input : events.complete) {
    if (Survives("hear")) Feed(input);
  }
  for (const std::string& problem : events.problems) context_.log.violations.push_back(problem);
}

void SimulatedCoordinator::Persist(const Record& record) {
  RunLog& log = context_.log;
  if (const auto* started = std::get_if<RoundStarted>(&record)) {
    const auto [it, is_new] = log.started.emplace(started->round, *started);
    if (!is_new) {
      ++log.attempts_given_up;
      if (started->attempt <= it->second.attempt) {
        log.violations.push_back(fmt::format("round {} begun twice", started->round.value()));
      }
      it->second = *started;
    }
    log.standing.open_round = *started;
    log.standing.session.reset();
  } else if (const auto* session = std::get_if<SessionStored>(&record)) {
    log.standing.session = session->state;
  } else if (const auto* charge = std::get_if<BudgetCharged>(&record)) {
    log.charges.push_back(*charge);
    log.standing.charge_count = static_cast<int64_t>(log.charges.size());
    log.standing.newest_charge = {charge->round, charge->attempt};
    log.standing.is_newest_skipped = charge->is_skipped;
  } else if (const auto* committed = std::get_if<RoundCommitted>(&record)) {
    if (committed->round.value() != log.standing.last_committed.value() + 1) {
      log.violations.push_back(fmt::format("round {} committed after round {}",
                                           committed->round.value(),
                                           log.standing.last_committed.value()));
    }
    log.standing.last_committed = committed->round;
    log.standing.model_sha256 = committed->model_sha256;
    log.standing.open_round.reset();
    log.standing.session.reset();
    log.committed.push_back(*committed);
    const ModelVersion version(committed->round.value());
    process_->models.Publish(version, log.models.at(version));
  } else if (const auto* evaluation = std::get_if<EvaluationRecorded>(&record)) {
    log.standing.last_evaluated = evaluation->version;
  } else if (const auto* ended = std::get_if<RunEnded>(&record)) {
    log.ended = *ended;
  }
}

void SimulatedCoordinator::CheckTask(const proto::RoundTask& task) {
  const std::optional<RoundStarted>& open = context_.log.standing.open_round;
  if (!open || open->round.value() != task.round() || open->attempt.value() != task.attempt()) {
    context_.log.violations.push_back(
        fmt::format("a task of round {}, which is not durable", task.round()));
    return;
  }
  for (const std::string& node : task.nodes()) {
    if (std::binary_search(open->invited.begin(), open->invited.end(), NodeId(node))) continue;
    context_.log.violations.push_back(
        fmt::format("{} has a task of round {} without an invitation", node, task.round()));
  }
}

void SimulatedCoordinator::Send(const OutgoingMessage& message) {
  if (message.envelope.has_round_task()) CheckTask(message.envelope.round_task());
  Message wire{.envelope = Frame::Own(protocol::Encode(message.envelope)), .raw = std::nullopt};
  if (message.attach_model && context_.scenario.sends_models_inline) {
    wire.raw = process_->models.WholeModel();
  }
  context_.network.SendDown(message.peer, std::move(wire));
}

void SimulatedCoordinator::SendChunks() {
  process_->models.Pump([this](PeerId peer, const Message& message) {
    context_.network.SendDown(peer, message);
    return SendResult::kAccepted;
  });
}

void SimulatedCoordinator::Handle(const UploadOrder& order) {
  UploadReceiver::Events events;
  const Instant now = context_.events.now();
  if (const auto* receive = std::get_if<ReceiveUpload>(&order)) {
    std::optional<Frame> bytes;
    if (receive->is_inline) bytes = process_->offered;
    process_->uploads.Receive(*receive, std::move(bytes), now, events);
  } else if (const auto* drop = std::get_if<DropUpload>(&order)) {
    process_->uploads.Drop(drop->node, now, events);
  } else {
    process_->uploads.DropAll();
  }
  Drain(std::move(events));
}

}  // namespace skerry
