#include "coordinator/round/round_machine.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"
#include "coordinator/round/waiting.h"

namespace skerry {
namespace {

std::optional<Instant> Deadline(const Selecting& phase, const RoundData& data) {
  return phase.since + data.policy.round.wait_timeout;
}
std::optional<Instant> Deadline(const Training& phase, const RoundData& data) {
  return NextDeadline(phase, data);
}
std::optional<Instant> Deadline(const Collecting& phase, const RoundData& data) {
  return NextCut(phase, data);
}
std::optional<Instant> Deadline(const Unmasking& phase, const RoundData& data) {
  return NextDeadline(phase, data);
}
std::optional<Instant> Deadline(const Committing&, const RoundData&) { return std::nullopt; }
std::optional<Instant> Deadline(const Evaluating&, const RoundData&) { return std::nullopt; }
std::optional<Instant> Deadline(const Finished&, const RoundData&) { return std::nullopt; }

std::string_view Name(const Selecting&) { return "selecting"; }
std::string_view Name(const Training&) { return "training"; }
std::string_view Name(const Collecting&) { return "collecting"; }
std::string_view Name(const Unmasking&) { return "unmasking"; }
std::string_view Name(const Committing&) { return "committing"; }
std::string_view Name(const Evaluating&) { return "evaluating"; }
std::string_view Name(const Finished&) { return "finished"; }

}  // namespace

RoundMachine::RoundMachine(RoundPolicy policy, std::vector<NodeId> roster, RestoredRun restored)
    : open_round_(std::move(restored.open_round)),
      session_(std::move(restored.session)),
      noisy_survivors_(std::move(restored.noisy_survivors)),
      is_newest_skipped_(restored.is_newest_skipped) {
  SKERRY_ASSERT(policy.round.quorum >= 1 && policy.round.quorum <= CohortSize(policy.round));
  SKERRY_ASSERT(std::is_sorted(roster.begin(), roster.end()));
  data_.policy = std::move(policy);
  data_.roster = std::move(roster);
  data_.last_committed = restored.last_committed;
  data_.round = restored.last_committed;
  data_.model_sha256 = std::move(restored.model_sha256);
  data_.charge_count = restored.charge_count;
  data_.newest_charge = restored.newest_charge;
  data_.clip_norm = restored.clip_norm;
  data_.last_evaluated = restored.last_evaluated;
}

void RoundMachine::Start(Instant now, Outbox& out) {
  data_.started_at = now;
  data_.first_round = RoundId(data_.last_committed.value() + 1);
  data_.nodes.reserve(data_.roster.size());
  for (const NodeId& node : data_.roster) data_.nodes.emplace(node, NodeState{.last_seen = now});
  EvaluateIfDue(data_, out);
  if (data_.last_committed.value() >= RoundCount(data_.policy)) {
    phase_ = Settle(Evaluating{}, data_, now, out);
  } else if (open_round_) {
    SKERRY_ASSERT(open_round_->round == data_.first_round);
    const bool is_skip_charged =
        is_newest_skipped_ &&
        data_.newest_charge == ChargeKey{open_round_->round, open_round_->attempt};
    phase_ = is_skip_charged    ? ResumeSkip(*open_round_, data_, now, out)
             : noisy_survivors_ ? ResumeCommit(*open_round_, *noisy_survivors_, data_, now, out)
             : session_         ? ResumeSession(*open_round_, *session_, data_, now, out)
                                : ReopenRound(*open_round_, data_, now, out);
  } else {
    phase_ = BeginRound(data_, now, out);
  }
}

template <typename In>
void RoundMachine::Step(const In& in, Instant now, Outbox& out) {
  phase_ = std::visit([&](auto&& phase) { return On(std::move(phase), in, data_, now, out); },
                      std::move(phase_));
}

void RoundMachine::HandleMessage(PeerId peer, const proto::Envelope& message, bool has_raw_frame,
                                 Instant now, Outbox& out) {
  switch (message.body_case()) {
    case proto::Envelope::kProgress:
      return Step(ProgressReceived{peer, message.progress()}, now, out);
    case proto::Envelope::kUploadOffer:
      return Step(OfferReceived{peer, message.upload_offer(), has_raw_frame}, now, out);
    case proto::Envelope::kKeyAdvert:
      return Step(AdvertReceived{peer, message.key_advert()}, now, out);
    case proto::Envelope::kRingReveal:
      return Step(RevealReceived{peer, message.ring_reveal()}, now, out);
    case proto::Envelope::kKeyShares:
      return Step(SharesReceived{peer, message.key_shares()}, now, out);
    case proto::Envelope::kSurvivorSignature:
      return Step(SignatureReceived{peer, message.survivor_signature()}, now, out);
    case proto::Envelope::kUnmaskShares:
      return Step(UnmaskSharesReceived{peer, message.unmask_shares()}, now, out);
    case proto::Envelope::kNodeFailure:
      return Step(FailureReceived{peer, message.node_failure()}, now, out);
    default:
      ++data_.rejects[proto::REJECT_REASON_UNKNOWN_MESSAGE];
  }
}

void RoundMachine::Handle(const Input& input, Instant now, Outbox& out) {
  std::visit([&](const auto& in) { Step(in, now, out); }, input);
}

void RoundMachine::HandleDeadline(Instant now, Outbox& out) { Step(DeadlineReached{}, now, out); }

std::optional<Instant> RoundMachine::NextDeadline() const {
  return std::visit([&](const auto& phase) { return Deadline(phase, data_); }, phase_);
}

std::string_view RoundMachine::phase_name() const {
  return std::visit([](const auto& phase) { return Name(phase); }, phase_);
}

std::string RoundMachine::WaitingFor(Instant now) const { return DescribeWait(phase_, data_, now); }

}  // namespace skerry
