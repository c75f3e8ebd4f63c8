#include "coordinator/shell/coordinator_shell.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/status.h"
#include "common/crypto/random_bits.h"
#include "common/crypto/sha256.h"
#include "common/protocol/codec.h"
#include "common/protocol/limits.h"
#include "coordinator/store/disk_space.h"
#include "coordinator/store/noisy_sum.h"

namespace skerry {
namespace {

// Jobs that may wait for the worker; with inline uploads of kInlineUploadBytesMax this bounds what
// they hold while the socket thread is held back.
constexpr size_t kWorkerJobsMax = 64;
constexpr size_t kUploadsPerJob = 16;
constexpr Duration kRosterInterval = std::chrono::seconds(1);
constexpr Duration kRefusalLogInterval = std::chrono::seconds(1);
constexpr Duration kPollMax = std::chrono::milliseconds(200);
constexpr Duration kFlushTimeout = std::chrono::seconds(2);

template <typename T>
std::vector<T> TakeAll(std::vector<T>& items) {
  return std::exchange(items, {});
}

RoundPolicy WithSecAgg(RoundPolicy policy, const JobConfig& job, const RunInfo& info,
                       const RosterFile& roster) {
  if (!job.secagg.enabled) return policy;
  policy.secagg = std::make_shared<const SecAggPolicy>(
      SecAggPolicy{.run = info.run_id,
                   .job_sha256 = Sha256Of(info.job_yaml),
                   .config = job.secagg,
                   .identity_of = [&roster](const NodeId& node) -> std::optional<Ed25519PublicKey> {
                     const RosterNode* entry = roster.roster().FindNode(node);
                     if (entry == nullptr) return std::nullopt;
                     return entry->key;
                   },
                   .crypto = &StandardSecAggCrypto()});
  return policy;
}

}  // namespace

CoordinatorShell::CoordinatorShell(PreparedRun run, RosterFile& roster, RouterEndpoint router,
                                   RunDisplay display, const std::atomic<bool>& stop)
    : job_(std::move(run.job)),
      has_secret_cohorts_(run.policy.secret_cohorts != nullptr),
      info_(std::move(run.info)),
      encoding_(std::move(run.encoding)),
      store_(std::move(run.store)),
      aggregator_(std::move(run.aggregator)),
      model_(std::move(run.model)),
      roster_(roster),
      router_(std::move(router)),
      display_(std::move(display)),
      stop_(stop),
      membership_({.run_id = info_.run_id, .job_yaml = info_.job_yaml, .layout = run.layout},
                  roster_.authority(), SystemRandom()),
      machine_(WithSecAgg(std::move(run.policy), job_, info_, roster_), roster_.roster().NodeIds(),
               run.restored),
      model_server_(static_cast<uint64_t>(job_.transport.chunk_bytes)),
      uploads_({.upload_bytes = encoding_.layout().size() * sizeof(RingElement),
                .memory_slots = static_cast<size_t>(job_.transport.uploads_in_memory),
                .slot_rate_min = static_cast<uint64_t>(job_.transport.slot_rate_min),
                .spool_folder = store_->run_dir()}),
      worker_(kWorkerJobsMax, [wakeup = router_.wakeup()] { wakeup.Notify(); }),
      evaluation_(
          std::make_unique<Evaluation>(job_, [wakeup = router_.wakeup()] { wakeup.Notify(); })) {
  model_server_.Publish(ModelVersion(run.restored.last_committed.value()), model_);
}

absl::StatusOr<RunEnded> CoordinatorShell::Run() {
  Instant now = SystemClock().Now();
  roster_checked_at_ = now;
  round_began_at_ = now;
  machine_.Start(now, out_);
  SKERRY_RETURN_IF_ERROR(Drain(now));
  while (!machine_.is_finished()) {
    RouterPoll poll = router_.Poll(TimeToWait(now));
    now = SystemClock().Now();
    HandlePoll(std::move(poll), now);
    TakeResults(now);
    HandleDeadlines(now);
    SKERRY_RETURN_IF_ERROR(Drain(now));
    if (observer_) observer_(machine_, now);
    display_.Update(machine_, membership_, traffic_, now);
  }
  if (model_ != nullptr && machine_.data().last_committed.value() > 0) {
    SKERRY_RETURN_IF_ERROR(store_->WriteLastModel(*model_, machine_.data().last_committed));
  }
  router_.Close(kFlushTimeout);
  display_.Finish(machine_, membership_, traffic_, SystemClock().Now());
  return *machine_.data().ended;
}

Duration CoordinatorShell::TimeToWait(Instant now) const {
  Instant until = now + kPollMax;
  for (const std::optional<Instant>& deadline :
       {machine_.NextDeadline(), membership_.NextDeadline(), uploads_.NextDeadline()}) {
    if (deadline.has_value()) until = std::min(until, *deadline);
  }
  return std::max(until - now, Duration::zero());
}

// ---- input ------------------------------------------------------------------------------------

void CoordinatorShell::HandlePoll(RouterPoll poll, Instant now) {
  for (const RefusedConnection& refused : poll.refused) {
    membership_.CountReject(proto::REJECT_REASON_NOT_IN_ROSTER);
    // All are counted; whoever tries a thousand times a second must not fill the disk with lines.
    if (now - refusal_logged_at_ < kRefusalLogInterval) continue;
    refusal_logged_at_ = now;
    LogWarning(fmt::format("refused a connection from {}: its key is not in the roster ({})",
                           refused.address, refused.public_key_z85));
  }
  for (ReceivedMessage& received : poll.messages) HandleMessage(std::move(received), now);
  for (const PeerGone& gone : poll.gone) {
    model_server_.PeerGone(gone.peer);
    const char* reason = gone.reason == PeerGoneReason::kDisconnected  ? "connection lost"
                         : gone.reason == PeerGoneReason::kDoesNotRead ? "does not read"
                                                                       : "broke the framing";
    membership_.HandleGone(gone.peer, reason, membership_out_);
  }
}

void CoordinatorShell::HandleMessage(ReceivedMessage received, Instant now) {
  traffic_.bytes_received += received.message.size();
  auto envelope = protocol::Decode(received.message.envelope.bytes());
  if (!envelope.ok()) {
    membership_.HandleMalformed(received.peer, now, membership_out_);
    return;
  }
  const Membership::Route route =
      membership_.HandleMessage(received.peer, received.process, *envelope, now, membership_out_);
  // A join is known to the round before the next message of the same peer is looked at.
  DrainMembership(now);
  if (route == Membership::Route::kOthers) {
    HandleRouted(received.peer, *envelope, std::move(received.message.raw), now);
  }
}

void CoordinatorShell::HandleRouted(PeerId peer, const proto::Envelope& envelope,
                                    std::optional<Frame> raw, Instant now) {
  switch (envelope.body_case()) {
    case proto::Envelope::kModelRequest:
      HandleRefusal(peer, model_server_.HandleRequest(peer, envelope.model_request()), now);
      return;
    case proto::Envelope::kUploadChunk:
      HandleRefusal(peer,
                    raw.has_value() ? uploads_.HandleChunk(peer, envelope.upload_chunk(), *raw, now,
                                                           upload_events_)
                                    : proto::REJECT_REASON_MALFORMED,
                    now);
      return;
    case proto::Envelope::kUploadOffer: {
      machine_.HandleMessage(peer, envelope, raw.has_value(), now, out_);
      // An offer that was taken is the last order; its bytes are at hand only here.
      if (raw.has_value() && !out_.uploads.empty()) {
        const auto* order = std::get_if<ReceiveUpload>(&out_.uploads.back());
        if (order != nullptr && order->is_inline) {
          const ReceiveUpload taken = *order;
          out_.uploads.pop_back();
          ExecuteUploadOrders(now);
          uploads_.Receive(taken, std::move(raw), now, upload_events_);
        }
      }
      return;
    }
    default:
      machine_.HandleMessage(peer, envelope, raw.has_value(), now, out_);
      return;
  }
}

void CoordinatorShell::HandleRefusal(PeerId peer, proto::RejectReason reason, Instant now) {
  if (reason == proto::REJECT_REASON_MALFORMED) {
    membership_.HandleMalformed(peer, now, membership_out_);
  } else if (reason != proto::REJECT_REASON_UNSPECIFIED) {
    // What crossed a closing round is no fault: it is counted and passed over.
    membership_.CountReject(reason);
  }
}

void CoordinatorShell::TakeResults(Instant now) {
  while (auto result = worker_.TryTake()) HandleResult(*std::move(result), now);
  while (auto result = evaluation_->TryTake()) machine_.Handle(*std::move(result), now, out_);
}

void CoordinatorShell::HandleResult(WorkResult result, Instant now) {
  if (auto* checked = std::get_if<UploadChecked>(&result)) {
    if (checked->status.ok()) {
      machine_.Handle(UploadComplete{checked->node, checked->round, checked->content_id}, now,
                      out_);
    } else {
      LogWarning(fmt::format("update of {}: {}", NameForLog(checked->node),
                             std::string(checked->status.message())));
      machine_.Handle(UploadBroken{checked->node, checked->round, checked->content_id}, now, out_);
    }
  } else if (auto* added = std::get_if<std::vector<UploadAdded>>(&result)) {
    for (UploadAdded& one : *added) {
      if (one.buffer != nullptr) uploads_.Release(std::move(one.buffer), now, upload_events_);
      if (!one.status.ok()) {
        machine_.Handle(SumLost{fmt::format("update of {}: {}", one.node.value(),
                                            std::string(one.status.message()))},
                        now, out_);
      }
    }
  } else if (auto* sealed = std::get_if<SumSealed>(&result)) {
    machine_.Handle(std::move(*sealed), now, out_);
  } else {
    auto& commit = std::get<Aggregator::CommitResult>(result);
    model_ = std::move(commit.model);
    if (commit.done.status.ok()) {
      model_server_.Publish(ModelVersion(commit.done.round.value()), model_);
    } else if (commit.done.is_unmasking_broken) {
      model_server_.Publish(ModelVersion(machine_.data().last_committed.value()), model_);
    }
    machine_.Handle(std::move(commit.done), now, out_);
  }
}

std::string_view CoordinatorShell::NameForLog(const NodeId& node) const {
  return has_secret_cohorts_ ? std::string_view("a node") : std::string_view(node.value());
}

void CoordinatorShell::HandleDeadlines(Instant now) {
  if (stop_ && !std::exchange(is_stop_handled_, true)) {
    machine_.Handle(StopRequested{"interrupted; resume with --resume"}, now, out_);
  }
  machine_.HandleDeadline(now, out_);
  membership_.HandleDeadline(now, membership_out_);
  uploads_.HandleDeadline(now, upload_events_);
  if (now - roster_checked_at_ >= kRosterInterval) RefreshRoster(now);
}

void CoordinatorShell::RefreshRoster(Instant now) {
  roster_checked_at_ = now;
  const absl::StatusOr<bool> changed = roster_.Refresh();
  if (!changed.ok()) {
    LogError(
        fmt::format("the roster stays as it was: {}", std::string(changed.status().message())));
  } else if (*changed) {
    LogInfo(fmt::format("roster changed: {} processes, {} nodes",
                        roster_.roster().processes().size(), roster_.roster().nodes().size()));
    membership_.HandleRoster(roster_.authority(), membership_out_);
  }
}

// ---- output -----------------------------------------------------------------------------------

absl::Status CoordinatorShell::Drain(Instant now) {
  for (;;) {
    DrainMembership(now);
    DrainTransfers(now);
    if (out_.empty()) break;
    SKERRY_RETURN_IF_ERROR(Persist(now));
    SendAll(TakeAll(out_.send));
    // Work takes its uploads before orders may drop them; nothing new may come between the two.
    StartWork();
    ExecuteUploadOrders(now);
  }
  // What is left for a peer that cannot take it now goes on when Poll says may_send.
  model_server_.Pump([this](PeerId peer, const Message& message) {
    const SendResult result = router_.TrySend(peer, message);
    if (result == SendResult::kAccepted) traffic_.bytes_sent += message.size();
    return result;
  });
  return absl::OkStatus();
}

void CoordinatorShell::DrainMembership(Instant now) {
  SendAll(TakeAll(membership_out_.send));
  for (const PeerId peer : TakeAll(membership_out_.forget)) {
    model_server_.PeerGone(peer);
    router_.Forget(peer);
  }
  for (const Input& input : TakeAll(membership_out_.round)) machine_.Handle(input, now, out_);
}

void CoordinatorShell::DrainTransfers(Instant now) {
  UploadReceiver::Events events = std::exchange(upload_events_, {});
  SendAll(std::move(events.send));
  for (const UploadAdvanced& advanced : events.advanced) machine_.Handle(advanced, now, out_);
  for (const UploadComplete& complete : events.complete) CheckThenComplete(complete, now);
  for (const std::string& problem : events.problems) {
    LogWarning(has_secret_cohorts_ ? std::string("an upload of a secret cohort is begun anew")
                                   : problem);
  }
}

void CoordinatorShell::CheckThenComplete(const UploadComplete& upload, Instant now) {
  std::optional<UploadBody> body = uploads_.Find(upload.node, upload.content_id);
  if (!body.has_value()) return;
  UploadChecked checked{upload.node, upload.round, upload.content_id, absl::OkStatus()};
  // The numbers of a masked update are random; only its length says anything.
  if (job_.secagg.enabled) {
    HandleResult(std::move(checked), now);
    return;
  }
  if (std::holds_alternative<Frame>(*body)) {  // small: not worth the way to the worker
    checked.status = CheckUpload(encoding_, *body);
    HandleResult(std::move(checked), now);
    return;
  }
  worker_.Post([this, checked = std::move(checked), body = *std::move(body)]() mutable {
    checked.status = CheckUpload(encoding_, body);
    return WorkResult(std::move(checked));
  });
}

absl::Status CoordinatorShell::Persist(Instant now) {
  if (out_.persist.empty()) return absl::OkStatus();
  const std::vector<Record> records = TakeAll(out_.persist);
  std::optional<RoundTraffic> traffic;
  for (const Record& record : records) {
    if (std::holds_alternative<RoundStarted>(record)) {
      SKERRY_RETURN_IF_ERROR(
          CheckDiskSpace(store_->run_dir(), RoundBytes(job_, encoding_.layout().parameter_count)));
    }
    if (const auto* committed = std::get_if<RoundCommitted>(&record)) {
      traffic_.round = committed->round;
      traffic_.wall = now - round_began_at_;
      round_began_at_ = now;
      traffic = std::exchange(traffic_, {});
    }
  }
  SKERRY_RETURN_IF_ERROR(store_->Append(records, SystemClock().WallUnixMs(), traffic));
  if (traffic.has_value()) {
    if (job_.secagg.enabled) RemoveSealedSums(store_->run_dir());
    if (job_.privacy.enabled) RemoveNoisySums(store_->run_dir());
  }
  display_.Show(records, traffic);
  return absl::OkStatus();
}

void CoordinatorShell::SendAll(std::vector<OutgoingMessage> messages) {
  // Verdicts of one round for one peer travel together: a process may host a thousand nodes.
  for (size_t i = 0; i < messages.size();) {
    OutgoingMessage& first = messages[i];
    size_t next = i + 1;
    if (first.envelope.has_upload_result()) {
      auto* result = first.envelope.mutable_upload_result();
      while (next < messages.size() && messages[next].peer == first.peer &&
             messages[next].envelope.has_upload_result() &&
             messages[next].envelope.upload_result().round() == result->round() &&
             messages[next].envelope.upload_result().attempt() == result->attempt() &&
             result->nodes_size() < protocol::kJoinNodesMax) {
        result->MergeFrom(messages[next].envelope.upload_result());
        ++next;
      }
    }
    SendOne(first);
    i = next;
  }
}

void CoordinatorShell::SendOne(const OutgoingMessage& outgoing) {
  Message message{Frame::Own(protocol::Encode(outgoing.envelope)), std::nullopt};
  if (outgoing.attach_model) message.raw = model_server_.WholeModel();
  traffic_.bytes_sent += message.size();
  router_.Send(outgoing.peer, std::move(message));  // a lost peer is reported by Poll
}

void CoordinatorShell::StartWork() {
  std::vector<AddUploadWork> adding;
  for (const Work& work : TakeAll(out_.work)) {
    if (const auto* add = std::get_if<AddUploadWork>(&work)) {
      adding.push_back(*add);
      if (adding.size() < kUploadsPerJob) continue;
    }
    StartAdding(TakeAll(adding));
    if (const auto* seal = std::get_if<SealSumWork>(&work)) StartSealing(*seal);
    if (std::holds_alternative<DiscardSumWork>(work)) {
      worker_.Post([this] {
        aggregator_->DiscardSum();
        return WorkResult(std::vector<UploadAdded>());
      });
    }
    if (const auto* commit = std::get_if<CommitWork>(&work)) StartCommit(*commit);
    if (const auto* evaluate = std::get_if<EvaluateWork>(&work)) StartEvaluation(*evaluate);
  }
  StartAdding(std::move(adding));
}

void CoordinatorShell::StartAdding(std::vector<AddUploadWork> uploads) {
  std::vector<std::pair<NodeId, UploadBody>> bodies;
  for (const AddUploadWork& upload : uploads) {
    std::optional<UploadBody> body = uploads_.Take(upload.node, upload.content_id);
    SKERRY_ASSERT(body.has_value());  // an accepted upload is dropped by nobody
    bodies.emplace_back(upload.node, *std::move(body));
  }
  if (bodies.empty()) return;
  worker_.Post([this, bodies = std::move(bodies)]() mutable {
    std::vector<UploadAdded> added;
    for (auto& [node, body] : bodies) {
      UploadAdded one{node, aggregator_->Add(body), nullptr};
      if (auto* buffer = std::get_if<SharedBuffer>(&body)) one.buffer = std::move(*buffer);
      added.push_back(std::move(one));
    }
    return WorkResult(std::move(added));
  });
}

void CoordinatorShell::StartSealing(const SealSumWork& work) {
  worker_.Post([this, work] {
    return WorkResult(SumSealed{.round = work.round,
                                .attempt = work.attempt,
                                .status = aggregator_->SealSum(work.round, work.attempt)});
  });
}

void CoordinatorShell::StartCommit(const CommitWork& work) {
  // The worker may change the model in place, so nobody is served until it comes back.
  model_server_.Withdraw();
  worker_.Post([this, work, model = std::exchange(model_, nullptr)]() mutable {
    if (work.is_skipped) return WorkResult(aggregator_->Skip(work.round, std::move(model)));
    Aggregator::CommitResult failed;
    failed.done.round = work.round;
    if (work.unmask != nullptr) {
      failed.done.status = aggregator_->Unmask(*work.unmask);
      failed.done.is_unmasking_broken = !failed.done.status.ok();
    }
    if (failed.done.status.ok() && work.is_noise_due) {
      failed.done.status = aggregator_->AddNoise(work);
    }
    if (!failed.done.status.ok()) {
      failed.model = std::move(model);
      return WorkResult(std::move(failed));
    }
    return WorkResult(aggregator_->Commit(work.round, work.survivor_count, std::move(model)));
  });
}

void CoordinatorShell::StartEvaluation(const EvaluateWork& work) {
  evaluation_->Start(work.version, model_);
}

void CoordinatorShell::ExecuteUploadOrders(Instant now) {
  for (const UploadOrder& order : TakeAll(out_.uploads)) {
    if (const auto* receive = std::get_if<ReceiveUpload>(&order)) {
      uploads_.Receive(*receive, std::nullopt, now, upload_events_);
    } else if (const auto* drop = std::get_if<DropUpload>(&order)) {
      uploads_.Drop(drop->node, now, upload_events_);
    } else {
      uploads_.DropAll();
    }
  }
}

}  // namespace skerry
