#include "tests/sim/simulated_agent.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/crypto/sha256.h"
#include "common/protocol/codec.h"
#include "tests/support/fake_roster.h"

namespace skerry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A site whose budget is a number of releases, in place of an accountant.
BudgetAnswer Answer(const BudgetQuestion& question, int64_t releases_max) {
  const AllowanceQuestion& asked = question.limits.front().question;
  int64_t steps = 0;
  for (const SpentEvent& spent : asked.spent) steps += spent.event.steps;
  const int64_t left = releases_max - steps / asked.release.event.steps;
  return {.nodes = question.nodes, .count = std::max<int64_t>(left, 0), .reason = "spent"};
}

}  // namespace

bool ClusterContext::IsKilledAt(const ProcessName& process, std::string_view step) const {
  if (!scenario.records_places) return false;
  std::vector<KillPlace>& places = log.places[process];
  const size_t place = places.size();
  const std::optional<RoundStarted>& open = log.standing.open_round;
  places.push_back({.round = open ? open->round : log.standing.last_committed,
                    .phase = log.phase,
                    .step = step});
  return std::any_of(scenario.kills.begin(), scenario.kills.end(), [&](const KillPoint& kill) {
    return kill.process == process && kill.place == place;
  });
}

SimulatedAgent::SimulatedAgent(ClusterContext context, ProcessName name, std::vector<NodeId> nodes,
                               Rng rng)
    : context_(context), name_(std::move(name)), nodes_(std::move(nodes)), rng_(rng) {
  for (const Outage& outage : context_.scenario.outages) {
    if (outage.process != name_) continue;
    context_.events.At(outage.from, [this] {
      if (link_) context_.network.Break(*link_);
    });
  }
}

Duration SimulatedAgent::Between(Duration least, Duration most) {
  const auto range = static_cast<uint64_t>((most - least).count());
  return least + Duration(static_cast<int64_t>(rng_.Below(range + 1)));
}

void SimulatedAgent::Start() {
  ++incarnation_;
  const Scenario& scenario = context_.scenario;
  SessionOptions options;
  options.process = name_;
  options.nodes = nodes_;
  options.workers = scenario.workers;
  options.upload_memory_bytes = scenario.upload_memory_bytes;
  options.inline_upload_bytes_max = scenario.inline_upload_bytes_max;
  options.model_window_bytes = scenario.window_bytes;
  options.policy.allow_plain = true;
  options.policy.allow_coordinator_noise = true;
  options.policy.cohort_min = 1;
  options.policy.survivors_min = 1;
  options.policy.colluders_min = 0;
  options.roster_nodes = static_cast<uint32_t>(scenario.node_count);
  options.spent = ledger_;
  if (scenario.site_releases_max == 0) options.policy.epsilon_total.reset();
  spool_ = std::make_unique<MemorySpool>();
  SessionFunctions functions;
  functions.sign_join = [](const NodeClaim& claim) {
    return FakeRoster::Sign(claim.node, claim.process,
                            std::string(claim.nonce.begin(), claim.nonce.end()));
  };
  functions.parse_job = [&scenario](const std::string&) -> absl::StatusOr<JobConfig> {
    return JobOf(scenario);
  };
  functions.sha256 = [](std::span<const uint8_t> bytes) { return Sha256Of(bytes); };
  functions.spool = spool_.get();
  functions.identity_of = [](const NodeId& node) -> std::optional<Ed25519PublicKey> {
    return FakeSecAggCrypto::KeyOf(node.value());
  };
  functions.sign = [](const NodeId& node, std::span<const uint8_t> message) {
    return FakeSecAggCrypto::Sign(FakeSecAggCrypto::KeyOf(node.value()), message);
  };
  functions.crypto = &crypto_;
  random_ = std::make_unique<SeededRandom>(rng_.NextU64());
  functions.random = random_.get();
  machine_ = std::make_unique<SessionMachine>(std::move(options), std::move(functions),
                                              Rng(rng_.NextU64()));
  Dial();
}

void SimulatedAgent::Crash() {
  ++crash_count_;
  ++context_.log.agent_crashes;
  if (link_) context_.network.Close(*link_);
  link_.reset();
  is_up_ = false;
  machine_.reset();
  spool_.reset();
  running_.clear();
  cancelled_.clear();
  deadline_at_.reset();
  ++incarnation_;  // what was under way is void
  context_.events.After(Between(milliseconds(1), context_.scenario.down_max), [this] { Start(); });
}

bool SimulatedAgent::IsStruck(std::string_view step, double probability) {
  if (context_.IsKilledAt(name_, step)) return true;
  return context_.is_faulty() && crash_count_ < context_.scenario.crash_count_max &&
         rng_.Uniform() < probability;
}

std::optional<Instant> SimulatedAgent::OutageEnd() const {
  const Instant now = context_.events.now();
  for (const Outage& outage : context_.scenario.outages) {
    const Instant end = outage.from + outage.length;
    if (outage.process == name_ && outage.from <= now && now < end) return end;
  }
  return std::nullopt;
}

void SimulatedAgent::Dial() {
  if (const std::optional<Instant> end = OutageEnd()) {
    context_.events.At(*end, [this, incarnation = incarnation_] {
      if (incarnation == incarnation_ && !link_) Dial();
    });
    return;
  }
  const auto slow = context_.scenario.slow_links.find(name_);
  const uint64_t rate = slow == context_.scenario.slow_links.end() ? 0 : slow->second;
  const int incarnation = incarnation_;
  const auto is_present = [this, incarnation](PeerId link) {
    return incarnation == incarnation_ && link_ == link;
  };
  link_ = context_.network.Dial({.on_up =
                                     [this, is_present](PeerId link) {
                                       if (!is_present(link)) {
                                         context_.network.Close(link);
                                         return;
                                       }
                                       is_up_ = true;
                                       Step(LinkUp{});
                                     },
                                 .on_message =
                                     [this, is_present](PeerId link, const Message& message) {
                                       if (is_present(link)) OnMessage(link, message);
                                     },
                                 .on_down =
                                     [this, is_present](PeerId link) {
                                       if (is_present(link)) OnDown(link);
                                     },
                                 .on_room =
                                     [this, is_present](PeerId link) {
                                       if (is_present(link)) PullBulk();
                                     }},
                                rate);
}

void SimulatedAgent::OnDown(PeerId) {
  link_.reset();
  const bool was_up = std::exchange(is_up_, false);
  const int incarnation = incarnation_;
  context_.events.After(Between(milliseconds(10), seconds(1)), [this, incarnation] {
    if (incarnation == incarnation_ && !link_) Dial();
  });
  if (was_up) Step(LinkDown{"the link broke"});
}

void SimulatedAgent::OnMessage(PeerId, const Message& message) {
  if (IsStruck("message", context_.scenario.agent_crash_probability)) {
    Crash();
    return;
  }
  const absl::StatusOr<proto::Envelope> envelope = protocol::Decode(message.envelope.bytes());
  SKERRY_ASSERT(envelope.ok());
  SessionOutbox out;
  std::optional<std::span<const uint8_t>> raw;
  if (message.raw) raw = message.raw->bytes();
  machine_->HandleMessage(*envelope, raw, context_.events.now(), out);
  Drain(std::move(out));
}

void SimulatedAgent::Step(const SessionInput& input) {
  SessionOutbox out;
  machine_->Handle(input, context_.events.now(), out);
  Drain(std::move(out));
}

bool SimulatedAgent::Persist(const SessionOutbox& out) {
  if (out.persist.empty()) return true;
  const double probability = context_.scenario.charge_crash_probability;
  if (IsStruck("charge", probability)) {
    Crash();
    return false;
  }
  RunLog& log = context_.log;
  for (const Charge& charge : out.persist) {
    const bool is_new =
        ledger_.Add(charge) &&
        log.site_charges.emplace(charge.node, charge.release.round, charge.release.attempt).second;
    if (!is_new) {
      log.violations.push_back(fmt::format("{} was charged twice for round {}, attempt {}",
                                           charge.node.value(), charge.release.round.value(),
                                           charge.release.attempt.value()));
    }
  }
  if (!IsStruck("charged", probability)) return true;
  ++log.charges_lost;
  Crash();
  return false;
}

// Whatever leaves in a private job was charged before, and is one draw of noise and no other.
void SimulatedAgent::NoteOffer(const proto::UploadOffer& offer) {
  if (!context_.scenario.privacy.enabled) return;
  RunLog& log = context_.log;
  const std::tuple release(NodeId(offer.node()), RoundId(offer.round()),
                           AttemptId(offer.attempt()));
  if (!log.site_charges.contains(release)) {
    log.violations.push_back(fmt::format("an update of {} left without a charge in round {}",
                                         offer.node(), offer.round()));
  }
  std::set<uint64_t>& drawn = log.offers[release];
  drawn.insert(offer.content_id());
  if (drawn.size() == 1) return;
  log.violations.push_back(fmt::format("{} released two updates in attempt {} of round {}",
                                       offer.node(), offer.attempt(), offer.round()));
}

void SimulatedAgent::Drain(SessionOutbox out) {
  if (!Persist(out)) return;
  for (const proto::Envelope& envelope : out.send) {
    context_.network.SendUp(
        *link_, {.envelope = Frame::Own(protocol::Encode(envelope)), .raw = std::nullopt});
  }
  for (const TrainingId training : out.cancel) {
    if (running_.contains(training)) cancelled_.insert(training);
  }
  for (const SessionWork& work : out.work) StartWork(work);
  if (out.finished) {
    context_.log.violations.push_back("an agent without --once has ended");
  }
  if (out.reconnect) {
    context_.network.Close(*link_);
    OnDown(*link_);
    return;
  }
  PullBulk();
  PlanDeadline();
}

void SimulatedAgent::PullBulk() {
  while (machine_->has_bulk() && link_ && context_.network.CanTakeBulk(*link_)) {
    std::optional<BulkMessage> bulk = machine_->NextBulk(context_.events.now());
    if (!bulk) break;
    if (bulk->envelope.has_upload_offer()) NoteOffer(bulk->envelope.upload_offer());
    if (bulk->raw) context_.log.upload_bytes[name_] += bulk->raw->size();
    context_.network.SendUp(*link_, {.envelope = Frame::Own(protocol::Encode(bulk->envelope)),
                                     .raw = std::move(bulk->raw)});
  }
  PlanDeadline();
}

void SimulatedAgent::PlanDeadline() {
  const std::optional<Instant> next = machine_->NextDeadline();
  if (!next || (deadline_at_ && *deadline_at_ <= *next)) return;
  deadline_at_ = *next;
  const int incarnation = incarnation_;
  context_.events.At(*next, [this, incarnation, at = *next] {
    if (incarnation != incarnation_ || deadline_at_ != at) return;
    deadline_at_.reset();
    SessionOutbox out;
    machine_->HandleDeadline(context_.events.now(), out);
    Drain(std::move(out));
  });
}

void SimulatedAgent::StartWork(const SessionWork& work) {
  const int incarnation = incarnation_;
  if (const auto* loading = std::get_if<LoadDataWork>(&work)) {
    DataLoaded loaded{.loading = loading->loading, .problems = {}};
    for (const NodeId& node : nodes_) {
      if (context_.scenario.dataless_nodes.contains(node)) {
        loaded.problems.push_back({.node = node, .detail = "no such file"});
      }
    }
    for (const BudgetQuestion& question : loading->budgets) {
      loaded.budgets.push_back(Answer(question, context_.scenario.site_releases_max));
    }
    context_.events.After(Between(milliseconds(1), milliseconds(200)),
                          [this, incarnation, loaded = std::move(loaded)] {
                            if (incarnation == incarnation_) Step(loaded);
                          });
    return;
  }
  if (const auto* masking = std::get_if<MaskWork>(&work)) {
    context_.events.After(Between(milliseconds(1), milliseconds(50)),
                          [this, incarnation, masking = *masking] {
                            if (incarnation == incarnation_) FinishMasking(masking);
                          });
    return;
  }
  const auto& training = std::get<TrainWork>(work);
  running_.insert(training.training);
  if (running_.size() > context_.scenario.workers) {
    context_.log.violations.push_back("more trainings than workers");
  }
  Duration takes = Between(context_.scenario.training_min, context_.scenario.training_max);
  if (rng_.Uniform() < context_.scenario.slow_probability) takes *= 100;
  ShowProgress(training.training, takes);
  context_.events.After(takes, [this, incarnation, training] {
    if (incarnation == incarnation_) FinishTraining(training);
  });
}

void SimulatedAgent::ShowProgress(TrainingId training, Duration left) {
  if (left < seconds(1)) return;
  const int incarnation = incarnation_;
  context_.events.After(seconds(1), [this, incarnation, training, left] {
    if (incarnation != incarnation_ || !running_.contains(training)) return;
    Step(TrainProgressed{.training = training, .permille = 500});
    ShowProgress(training, left - seconds(1));
  });
}

void SimulatedAgent::FinishMasking(const MaskWork& work) {
  const std::span<const uint8_t> update = work.update.bytes();
  std::vector<RingElement> words(update.size() / sizeof(RingElement));
  std::memcpy(words.data(), update.data(), update.size());
  ApplyMasks(words, *work.masks);
  const std::span<const uint8_t> bytes = AsBytes(std::span<const RingElement>(words));
  Step(MaskDone{.training = work.training,
                .upload = Frame::Own(std::vector<uint8_t>(bytes.begin(), bytes.end()))});
}

void SimulatedAgent::FinishTraining(const TrainWork& work) {
  running_.erase(work.training);
  TrainDone done{.training = work.training};
  // A cancellation may come too late to stop anything.
  const bool stops = cancelled_.erase(work.training) > 0 && rng_.Below(2) == 0;
  if (stops) {
    done.outcome = TrainDone::Outcome::kCancelled;
  } else if (context_.scenario.failing_nodes.contains(work.node)) {
    done.outcome = TrainDone::Outcome::kFailed;
    done.failure = proto::REJECT_REASON_NOT_FINITE;
  } else {
    ++context_.log.trainings[{work.node, work.round, work.attempt, incarnation_}];
    const std::vector<RingElement> words =
        context_.trainer.Train(work.node, work.round, work.model->values(), work.attempt);
    const std::span<const uint8_t> bytes = AsBytes(std::span<const RingElement>(words));
    done.upload = Frame::Own(std::vector<uint8_t>(bytes.begin(), bytes.end()));
  }
  Step(done);
}

}  // namespace skerry
