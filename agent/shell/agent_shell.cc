#include "agent/shell/agent_shell.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/status.h"
#include "common/protocol/codec.h"

namespace skerry {
namespace {

constexpr Duration kPollMax = std::chrono::milliseconds(200);
constexpr Duration kFlushTimeout = std::chrono::seconds(1);
constexpr int kExitFailed = 1;

}  // namespace

// ---- spool ------------------------------------------------------------------------------------

absl::StatusOr<uint64_t> FileSpool::Append(std::span<const uint8_t> bytes) {
  if (file_ == nullptr) {
    auto file = SpoolFile::Create(folder_, std::numeric_limits<int64_t>::max());
    if (!file.ok()) return file.status();
    file_ = std::make_unique<SpoolFile>(*std::move(file));
  }
  return file_->Append(bytes);
}

absl::Status FileSpool::ReadAt(uint64_t offset, std::span<uint8_t> bytes) {
  SKERRY_ASSERT(file_ != nullptr);
  return file_->ReadAt(offset, bytes);
}

void FileSpool::Discard(uint64_t offset, uint64_t size) {
  if (file_ != nullptr) file_->Discard(offset, size);
}

void FileSpool::Clear() { file_.reset(); }

// ---- shell ------------------------------------------------------------------------------------

AgentShell::AgentShell(SessionMachine session, Ledger ledger, DealerEndpoint dealer,
                       std::unique_ptr<TrainingPool> pool, EventLog log,
                       const std::atomic<bool>& stop)
    : session_(std::move(session)),
      ledger_(std::move(ledger)),
      dealer_(std::move(dealer)),
      pool_(std::move(pool)),
      log_(std::move(log)),
      stop_(stop) {}

int AgentShell::Run() {
  Instant now = SystemClock().Now();
  while (!exit_code_.has_value()) {
    DealerPoll poll = dealer_.Poll(TimeToWait(now), now);
    now = SystemClock().Now();
    HandlePoll(std::move(poll), now);
    while (auto input = pool_->TryTake()) session_.Handle(*input, now, out_);
    if (stop_ && !std::exchange(is_stop_handled_, true)) {
      session_.Handle(LeaveRequested{}, now, out_);
    }
    session_.HandleDeadline(now, out_);
    Drain();
    SendBulk(now);
  }
  dealer_.Close(kFlushTimeout);
  return *exit_code_;
}

Duration AgentShell::TimeToWait(Instant now) const {
  Instant until = now + kPollMax;
  if (const auto deadline = session_.NextDeadline()) until = std::min(until, *deadline);
  return std::max(until - now, Duration::zero());
}

void AgentShell::HandlePoll(DealerPoll poll, Instant now) {
  if (poll.is_link_up) {
    may_send_ = true;
    blocked_.reset();
    session_.Handle(LinkUp{}, now, out_);
    Drain();
  }
  for (const Message& message : poll.messages) HandleMessage(message, now);
  if (poll.link_down.has_value()) {
    blocked_.reset();
    log_.LinkDown(*poll.link_down);
    session_.Handle(LinkDown{*poll.link_down}, now, out_);
  }
  if (poll.may_send) may_send_ = true;
}

void AgentShell::HandleMessage(const Message& message, Instant now) {
  const auto envelope = protocol::Decode(message.envelope.bytes());
  if (!envelope.ok()) {
    LogWarning(fmt::format("ignored a message of the coordinator: {}",
                           std::string(envelope.status().message())));
    return;
  }
  std::optional<std::span<const uint8_t>> raw;
  if (message.raw.has_value()) raw = message.raw->bytes();
  session_.HandleMessage(*envelope, raw, now, out_);
}

bool AgentShell::Persist(const SessionOutbox& out) {
  if (out.persist.empty()) return true;
  const absl::Status charged = ledger_.Append(out.persist, SystemClock().WallUnixMs());
  if (charged.ok()) return true;
  LogError(fmt::format("the privacy budget cannot be charged, so nothing is released: {}",
                       std::string(charged.message())));
  exit_code_ = kExitFailed;
  return false;
}

void AgentShell::Drain() {
  SessionOutbox out = std::exchange(out_, {});
  if (exit_code_.has_value() || !Persist(out)) return;
  for (const proto::Envelope& envelope : out.send) {
    // A message that the link loses is said again over the next one.
    dealer_.Send(Message{Frame::Own(protocol::Encode(envelope)), std::nullopt});
  }
  for (const TrainingId training : out.cancel) pool_->Cancel(training);
  for (const SessionWork& work : out.work) {
    if (const auto* load = std::get_if<LoadDataWork>(&work)) {
      pool_->Load(*load);
    } else if (const auto* mask = std::get_if<MaskWork>(&work)) {
      pool_->Mask(*mask);
    } else {
      pool_->Train(std::get<TrainWork>(work));
    }
  }
  for (const SessionEvent& event : out.report) log_.Event(event);
  if (out.reconnect) dealer_.Reconnect();
  if (out.finished.has_value()) exit_code_ = out.finished;
}

void AgentShell::SendBulk(Instant now) {
  while (!exit_code_.has_value() && may_send_ && dealer_.is_up()) {
    if (!blocked_.has_value()) {
      std::optional<BulkMessage> bulk = session_.NextBulk(now);
      if (!bulk.has_value()) return;
      blocked_ = Message{Frame::Own(protocol::Encode(bulk->envelope)), std::move(bulk->raw)};
    }
    if (!dealer_.TrySend(*blocked_)) {
      may_send_ = false;  // until Poll says otherwise
      return;
    }
    blocked_.reset();
  }
}

}  // namespace skerry
