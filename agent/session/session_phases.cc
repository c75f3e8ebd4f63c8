#include "agent/session/session_phases.h"

#include <algorithm>
#include <type_traits>

#include <fmt/format.h>

#include "agent/session/progress.h"
#include "common/protocol/codec.h"
#include "common/protocol/limits.h"

namespace skerry {
namespace {

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitInterrupted = 130;

bool IsEnded(const SessionPhase& phase) { return std::holds_alternative<Ended>(phase); }

SessionPhase Finish(int exit_code, SessionTurn& turn) {
  turn.out.finished = exit_code;
  turn.data.link.ping_at.reset();
  return Ended{};
}

void Earlier(std::optional<Instant>& deadline, std::optional<Instant> other) {
  if (other && (!deadline || *other < *deadline)) deadline = other;
}

}  // namespace

bool HasJoined(const SessionPhase& phase) {
  return std::holds_alternative<Joining>(phase) || std::holds_alternative<Active>(phase);
}

std::string_view NameOf(const SessionPhase& phase) {
  constexpr std::string_view kNames[] = {"disconnected", "greeting",    "joining", "active",
                                         "job over",     "turned away", "ended"};
  static_assert(std::size(kNames) == std::variant_size_v<SessionPhase::variant>);
  return kNames[phase.index()];
}

void Ignore(const google::protobuf::Message& message, std::string_view phase, SessionTurn& turn) {
  ReportIgnored(fmt::format("{} while {}", message.GetDescriptor()->name(), phase), turn.out);
}

SessionPhase Greet(SessionTurn& turn) {
  ForgetLink(turn.data);
  turn.data.link.ping_at = turn.now + turn.data.options.ping_interval;
  SendHello(turn.data, turn.out);
  return Greeting{.resend_at = turn.now + turn.data.options.resend_after};
}

SessionPhase OnLinkUp(SessionPhase&& phase, SessionTurn& turn) {
  if (IsEnded(phase)) return std::move(phase);
  return Greet(turn);
}

SessionPhase OnLinkDown(SessionPhase&& phase, SessionTurn& turn) {
  if (IsEnded(phase)) return std::move(phase);
  ForgetLink(turn.data);
  return Disconnected{};
}

SessionPhase OnLeave(SessionPhase&& phase, SessionTurn& turn) {
  if (IsEnded(phase)) return std::move(phase);
  if (HasJoined(phase)) turn.out.send.emplace_back().mutable_leave();
  return Finish(kExitInterrupted, turn);
}

bool IsRepeat(const proto::Welcome& welcome, const SessionData& data) {
  return data.run && data.run->id.value() == welcome.run_id() && data.link.nonce == welcome.nonce();
}

SessionPhase StartJoining(const proto::Welcome& welcome, SessionTurn& turn) {
  if (welcome.version() < protocol::kVersionMin || welcome.version() > protocol::kVersionMax) {
    proto::Refused refused;
    refused.set_reason(proto::REJECT_REASON_VERSION);
    refused.set_detail(fmt::format("the coordinator chose version {}, this agent speaks {} to {}",
                                   welcome.version(), protocol::kVersionMin,
                                   protocol::kVersionMax));
    return TurnAway(refused, turn);
  }
  TakeWelcome(welcome, turn.data, turn.out);
  SendJoin(turn.data, turn.out);
  return Joining{.resend_at = turn.now + turn.data.options.resend_after};
}

SessionPhase SettleJoin(SessionPhase&& phase, SessionTurn& turn) {
  SessionData& data = turn.data;
  if (data.link.unanswered_count > 0) return std::move(phase);
  const bool is_refused_here = data.run->refusal != proto::REJECT_REASON_UNSPECIFIED;
  if (is_refused_here && data.options.ends_with_job) return Finish(kExitFailed, turn);
  if (!data.link.rejoin_at) data.rejoin_wait.Reset();
  data.turned_away_wait.Reset();
  return Active{};
}

SessionPhase TurnAway(const proto::Refused& refused, SessionTurn& turn) {
  SessionData& data = turn.data;
  ForgetLink(data);
  turn.out.report.push_back({.kind = SessionEventKind::kTurnedAway,
                             .reason = refused.reason(),
                             .detail = refused.detail()});
  const bool is_hopeless = refused.reason() == proto::REJECT_REASON_VERSION;
  if (is_hopeless && data.options.ends_with_job) return Finish(kExitFailed, turn);
  return TurnedAway{.retry_at = turn.now + data.turned_away_wait.Next(data.rng)};
}

SessionPhase EndJob(const proto::JobEnd& end, SessionTurn& turn) {
  turn.out.report.push_back({.kind = SessionEventKind::kJobEnded,
                             .count = end.completed() ? 1u : 0u,
                             .detail = end.detail()});
  // A job that failed may be resumed; then its uploads are still worth something.
  if (end.completed()) ForgetRun(turn.data, turn.out);
  if (!turn.data.options.ends_with_job) return JobOver{};
  return Finish(end.completed() ? kExitDone : kExitFailed, turn);
}

std::optional<Instant> DeadlineOf(const SessionPhase& phase, const SessionData& data) {
  std::optional<Instant> deadline;
  if (const Greeting* greeting = std::get_if<Greeting>(&phase)) deadline = greeting->resend_at;
  if (const TurnedAway* away = std::get_if<TurnedAway>(&phase)) deadline = away->retry_at;
  Earlier(deadline, data.link.ping_at);
  if (!HasJoined(phase)) return deadline;
  if (const Joining* joining = std::get_if<Joining>(&phase)) deadline = joining->resend_at;
  Earlier(deadline, data.link.rejoin_at);
  Earlier(deadline, NextProgress(data));
  Earlier(deadline, NextModelRequest(data));
  Earlier(deadline, data.uploads.NextDeadline());
  return deadline;
}

// The coordinator's process may have lost this link without its end being noticed.
void PingIfDue(SessionTurn& turn) {
  SessionData& data = turn.data;
  if (!data.link.ping_at || turn.now < *data.link.ping_at) return;
  if (data.link.unanswered_pings >= data.options.unanswered_pings_max) {
    data.link.ping_at.reset();
    turn.out.reconnect = true;
    return;
  }
  ++data.link.unanswered_pings;
  data.link.ping_at = turn.now + data.options.ping_interval;
  turn.out.send.emplace_back().mutable_ping();
}

SessionPhase OnDeadline(SessionPhase&& phase, SessionTurn& turn) {
  SessionData& data = turn.data;
  PingIfDue(turn);
  const Instant resend_at = turn.now + data.options.resend_after;
  if (Greeting* greeting = std::get_if<Greeting>(&phase)) {
    if (turn.now < greeting->resend_at) return std::move(phase);
    SendHello(data, turn.out);
    greeting->resend_at = resend_at;
  } else if (TurnedAway* away = std::get_if<TurnedAway>(&phase)) {
    if (!away->retry_at || turn.now < *away->retry_at) return std::move(phase);
    turn.out.reconnect = true;
    away->retry_at.reset();
  } else if (HasJoined(phase)) {
    if (Joining* joining = std::get_if<Joining>(&phase);
        joining && turn.now >= joining->resend_at) {
      SendJoin(data, turn.out);
      joining->resend_at = resend_at;
    }
    RejoinRefused(data, turn.now, turn.out);
    SendProgress(data, turn.now, turn.out);
    RepeatModelRequest(data, turn.now, turn.out);
    data.uploads.HandleDeadline(turn.now);
  }
  return std::move(phase);
}

}  // namespace skerry
