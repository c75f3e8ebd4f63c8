// How an agent process stands with its coordinator, and how each message moves it.
//
//   Disconnected -> Greeting -> Joining -> Active -> JobOver
//
// LinkUp leads to Greeting and LinkDown to Disconnected from everywhere but Ended. Every (phase,
// message) pair has an answer: the first On below ignores the message and reports it, the others
// say what is expected where. What the shell's workers have done is taken whatever the phase is.
#pragma once

#include <concepts>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include "agent/session/join.h"
#include "agent/session/masking.h"
#include "agent/session/round_work.h"
#include "agent/session/session_data.h"
#include "common/base/clock.h"

namespace skerry {

// No link.
struct Disconnected {};
// Hello is sent, Welcome has not come.
struct Greeting {
  Instant resend_at{};
};
// Join is sent, some nodes have no verdict yet. Rounds go on for those that have.
struct Joining {
  Instant resend_at{};
};
// Every node has its verdict.
struct Active {};
// The job has ended; waits for the link to end and come back with another run.
struct JobOver {};
// The coordinator does not want this process now; tries again slowly, for it may be put on the
// roster again.
struct TurnedAway {
  std::optional<Instant> retry_at;  // none: the shell was told to reconnect
};
// With --once: nothing is answered any more.
struct Ended {};

struct SessionPhase
    : std::variant<Disconnected, Greeting, Joining, Active, JobOver, TurnedAway, Ended> {
  using variant::variant;
};

// What a message comes with, and where its consequences go.
struct SessionTurn {
  std::optional<std::span<const uint8_t>> raw;
  SessionData& data;
  Instant now;
  SessionOutbox& out;
};

// ---- the link ----------------------------------------------------------------------------------

SessionPhase OnLinkUp(SessionPhase&& phase, SessionTurn& turn);
SessionPhase OnLinkDown(SessionPhase&& phase, SessionTurn& turn);
SessionPhase OnLeave(SessionPhase&& phase, SessionTurn& turn);
SessionPhase OnDeadline(SessionPhase&& phase, SessionTurn& turn);
std::optional<Instant> DeadlineOf(const SessionPhase& phase, const SessionData& data);
std::string_view NameOf(const SessionPhase& phase);
// Joining or Active.
bool HasJoined(const SessionPhase& phase);

// ---- messages ----------------------------------------------------------------------------------

// The coordinator is there.
template <typename P>
concept LinkedPhase = std::same_as<P, Greeting> || std::same_as<P, Joining> ||
    std::same_as<P, Active> || std::same_as<P, JobOver>;
// Nodes may have joined.
template <typename P>
concept JoinedPhase = std::same_as<P, Joining> || std::same_as<P, Active>;

// Parts of the answers below.
void Ignore(const google::protobuf::Message& message, std::string_view phase, SessionTurn& turn);
SessionPhase Greet(SessionTurn& turn);
SessionPhase StartJoining(const proto::Welcome& welcome, SessionTurn& turn);
SessionPhase TurnAway(const proto::Refused& refused, SessionTurn& turn);
SessionPhase EndJob(const proto::JobEnd& end, SessionTurn& turn);
SessionPhase SettleJoin(SessionPhase&& phase, SessionTurn& turn);
bool IsRepeat(const proto::Welcome& welcome, const SessionData& data);

// Whatever is not expected.
template <typename P, typename Message>
SessionPhase On(P&& phase, const Message& message, SessionTurn& turn) {
  SessionPhase same(std::move(phase));
  Ignore(message, NameOf(same), turn);
  return same;
}

template <typename P>
SessionPhase On(P&& phase, const proto::Ping&, SessionTurn&) {
  return std::move(phase);
}

// OUT_OF_PHASE after Hello was answered: the coordinator, or the link, is a new one and we had not
// noticed yet.
template <LinkedPhase P>
SessionPhase On(P&&, const proto::Refused& in, SessionTurn& turn) {
  const bool is_forgotten = in.reason() == proto::REJECT_REASON_OUT_OF_PHASE;
  if (is_forgotten && !std::same_as<P, Greeting>) return Greet(turn);
  return TurnAway(in, turn);
}

// Once joined, a Welcome with another nonce or run means that the coordinator has forgotten us.
template <LinkedPhase P>
SessionPhase On(P&& phase, const proto::Welcome& in, SessionTurn& turn) {
  if (JoinedPhase<P> && IsRepeat(in, turn.data)) return std::move(phase);
  return StartJoining(in, turn);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::JoinResult& in, SessionTurn& turn) {
  TakeJoinResult(in, turn.data, turn.now, turn.out);
  return SettleJoin(std::move(phase), turn);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::RoundTask& in, SessionTurn& turn) {
  TakeTask(in, turn.raw, turn.data, turn.now, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::ModelChunk& in, SessionTurn& turn) {
  TakeModelChunk(in, turn.raw, turn.data, turn.now, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::UploadGrant& in, SessionTurn& turn) {
  TakeUploadGrant(in, turn.data, turn.now, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::UploadResult& in, SessionTurn& turn) {
  TakeUploadResult(in, turn.data, turn.now, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::KeyRoster& in, SessionTurn& turn) {
  TakeKeyRoster(in, turn.data, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::RingNonces& in, SessionTurn& turn) {
  TakeRingNonces(in, turn.data, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::ShareDelivery& in, SessionTurn& turn) {
  TakeShareDelivery(in, turn.data, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::SurvivorSet& in, SessionTurn& turn) {
  TakeSurvivorSet(in, turn.data, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::UnmaskRequest& in, SessionTurn& turn) {
  TakeUnmaskRequest(in, turn.data, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&& phase, const proto::RoundClosed& in, SessionTurn& turn) {
  TakeRoundClosed(in, turn.data, turn.out);
  return std::move(phase);
}

template <JoinedPhase P>
SessionPhase On(P&&, const proto::JobEnd& in, SessionTurn& turn) {
  return EndJob(in, turn);
}

}  // namespace skerry
