#include "agent/session/session_machine.h"

#include <utility>

#include "agent/session/masking.h"
#include "agent/session/progress.h"

namespace skerry {
namespace {

using proto::Envelope;

template <typename Message>
SessionPhase Step(SessionPhase&& phase, const Message& message, SessionTurn& turn) {
  SessionPhase::variant& variant = phase;
  return std::visit([&](auto& present) { return On(std::move(present), message, turn); }, variant);
}

SessionPhase Dispatch(SessionPhase&& phase, const Envelope& message, SessionTurn& turn) {
  switch (message.body_case()) {
    case Envelope::kWelcome:
      return Step(std::move(phase), message.welcome(), turn);
    case Envelope::kJoinResult:
      return Step(std::move(phase), message.join_result(), turn);
    case Envelope::kRoundTask:
      return Step(std::move(phase), message.round_task(), turn);
    case Envelope::kModelChunk:
      return Step(std::move(phase), message.model_chunk(), turn);
    case Envelope::kUploadGrant:
      return Step(std::move(phase), message.upload_grant(), turn);
    case Envelope::kUploadResult:
      return Step(std::move(phase), message.upload_result(), turn);
    case Envelope::kRoundClosed:
      return Step(std::move(phase), message.round_closed(), turn);
    case Envelope::kJobEnd:
      return Step(std::move(phase), message.job_end(), turn);
    case Envelope::kRefused:
      return Step(std::move(phase), message.refused(), turn);
    case Envelope::kKeyRoster:
      return Step(std::move(phase), message.key_roster(), turn);
    case Envelope::kRingNonces:
      return Step(std::move(phase), message.ring_nonces(), turn);
    case Envelope::kShareDelivery:
      return Step(std::move(phase), message.share_delivery(), turn);
    case Envelope::kSurvivorSet:
      return Step(std::move(phase), message.survivor_set(), turn);
    case Envelope::kUnmaskRequest:
      return Step(std::move(phase), message.unmask_request(), turn);
    case Envelope::kPing:
      return Step(std::move(phase), message.ping(), turn);
    // What only agents say.
    case Envelope::kHello:
      return Step(std::move(phase), message.hello(), turn);
    case Envelope::kJoin:
      return Step(std::move(phase), message.join(), turn);
    case Envelope::kModelRequest:
      return Step(std::move(phase), message.model_request(), turn);
    case Envelope::kProgress:
      return Step(std::move(phase), message.progress(), turn);
    case Envelope::kUploadOffer:
      return Step(std::move(phase), message.upload_offer(), turn);
    case Envelope::kUploadChunk:
      return Step(std::move(phase), message.upload_chunk(), turn);
    case Envelope::kNodeFailure:
      return Step(std::move(phase), message.node_failure(), turn);
    case Envelope::kKeyAdvert:
      return Step(std::move(phase), message.key_advert(), turn);
    case Envelope::kRingReveal:
      return Step(std::move(phase), message.ring_reveal(), turn);
    case Envelope::kKeyShares:
      return Step(std::move(phase), message.key_shares(), turn);
    case Envelope::kSurvivorSignature:
      return Step(std::move(phase), message.survivor_signature(), turn);
    case Envelope::kUnmaskShares:
      return Step(std::move(phase), message.unmask_shares(), turn);
    case Envelope::kLeave:
      return Step(std::move(phase), message.leave(), turn);
    case Envelope::BODY_NOT_SET:
      break;
  }
  return std::move(phase);  // Decode lets no empty envelope pass
}

struct InputHandler {
  SessionPhase& phase;
  SessionTurn& turn;

  void operator()(const LinkUp&) { phase = OnLinkUp(std::move(phase), turn); }
  void operator()(const LinkDown&) { phase = OnLinkDown(std::move(phase), turn); }
  void operator()(const LeaveRequested&) { phase = OnLeave(std::move(phase), turn); }
  void operator()(const DataLoaded& in) { TakeDataLoaded(in, turn.data, turn.out); }
  void operator()(const TrainProgressed& in) { TakeTrainProgressed(in, turn.data, turn.now); }
  void operator()(const MaskDone& in) { TakeMaskDone(in, turn.data, turn.now, turn.out); }
  void operator()(const TrainDone& in) { TakeTrainDone(in, turn.data, turn.now, turn.out); }
};

}  // namespace

SessionMachine::SessionMachine(SessionOptions options, SessionFunctions functions, Rng rng)
    : data_(std::move(options), std::move(functions), rng), phase_(Disconnected{}) {}

void SessionMachine::Handle(const SessionInput& input, Instant now, SessionOutbox& out) {
  if (is_finished()) return;
  SessionTurn turn{.raw = std::nullopt, .data = data_, .now = now, .out = out};
  std::visit(InputHandler{phase_, turn}, input);
}

void SessionMachine::HandleMessage(const Envelope& message,
                                   std::optional<std::span<const uint8_t>> raw, Instant now,
                                   SessionOutbox& out) {
  if (is_finished()) return;
  data_.link.unanswered_pings = 0;
  SessionTurn turn{.raw = raw, .data = data_, .now = now, .out = out};
  phase_ = Dispatch(std::move(phase_), message, turn);
}

void SessionMachine::HandleDeadline(Instant now, SessionOutbox& out) {
  SessionTurn turn{.raw = std::nullopt, .data = data_, .now = now, .out = out};
  phase_ = OnDeadline(std::move(phase_), turn);
}

std::optional<Instant> SessionMachine::NextDeadline() const { return DeadlineOf(phase_, data_); }

bool SessionMachine::has_bulk() const { return HasJoined(phase_) && data_.uploads.has_bulk(); }

std::optional<BulkMessage> SessionMachine::NextBulk(Instant now) {
  if (!has_bulk()) return std::nullopt;
  std::optional<BulkMessage> message = data_.uploads.Next(now);
  if (message) MarkUploadProgress(data_, now);
  return message;
}

}  // namespace skerry
