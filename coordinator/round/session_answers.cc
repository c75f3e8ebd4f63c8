#include "coordinator/round/session_answers.h"

#include <utility>

#include <fmt/format.h>

#include "common/protocol/codec.h"
#include "coordinator/round/answers.h"
#include "coordinator/round/senders.h"

namespace skerry {
namespace {

using proto::RejectReason;

// A node that cannot go on with this session. Its update stays in a sum it is already in, but it
// does not help to open it.
void LoseSession(const NodeId& node, Participant& participant, RejectReason reason, RoundData& data,
                 Outbox& out) {
  if (participant.is_outstanding()) {
    const bool has_lost_keys = reason == proto::REJECT_REASON_KEYS_CLOSED;
    Dismiss(node, participant,
            {.refusal = reason,
             .reason = has_lost_keys ? "came back without the keys of this attempt"
                                     : protocol::Describe(reason)},
            data, out);
  } else if (participant.participation == Participation::kAccepted) {
    participant.has_lost_session = true;
  }
}

template <typename Received, typename Take>
void AbsorbSessionMessage(const Received& in, RoundData& data, Instant now, Outbox& out,
                          Take take) {
  const NodeId node(in.message.node());
  const Sender sender = FindSender(data, in.peer, node, in.message.round());
  if (sender.participant == nullptr) {
    Refuse(in.peer, in.message.round(), node, sender.refusal, data, out);
    return;
  }
  Participant& participant = *sender.participant;
  if (participant.refusal != proto::REJECT_REASON_UNSPECIFIED) {
    Refuse(in.peer, in.message.round(), node, participant.refusal, data, out);
    return;
  }
  if (IsStale(in.message.attempt(), data)) return;
  const RejectReason refusal =
      data.secagg ? take(*data.secagg) : proto::REJECT_REASON_UNKNOWN_MESSAGE;
  if (refusal == proto::REJECT_REASON_UNSPECIFIED) {
    SignOfLife(*sender.state, participant, data, now);
    return;
  }
  LoseSession(node, participant, refusal, data, out);
  Refuse(in.peer, in.message.round(), node, refusal, data, out);
}

}  // namespace

void Absorb(const AdvertReceived& in, RoundData& data, Instant now, Outbox& out) {
  AbsorbSessionMessage(in, data, now, out,
                       [&](SecAggServer& server) { return server.TakeAdvert(in.message); });
}

void Absorb(const RevealReceived& in, RoundData& data, Instant now, Outbox& out) {
  AbsorbSessionMessage(in, data, now, out,
                       [&](SecAggServer& server) { return server.TakeReveal(in.message); });
}

void Absorb(const SharesReceived& in, RoundData& data, Instant now, Outbox& out) {
  AbsorbSessionMessage(in, data, now, out,
                       [&](SecAggServer& server) { return server.TakeShares(in.message); });
}

void Absorb(const SignatureReceived& in, RoundData& data, Instant now, Outbox& out) {
  AbsorbSessionMessage(in, data, now, out,
                       [&](SecAggServer& server) { return server.TakeSignature(in.message); });
}

void Absorb(const UnmaskSharesReceived& in, RoundData& data, Instant now, Outbox& out) {
  AbsorbSessionMessage(in, data, now, out,
                       [&](SecAggServer& server) { return server.TakeUnmaskShares(in.message); });
}

}  // namespace skerry
