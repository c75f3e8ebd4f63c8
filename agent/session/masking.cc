#include "agent/session/masking.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/session/progress.h"
#include "agent/session/round_work.h"
#include "common/base/status.h"
#include "common/protocol/limits.h"
#include "common/secagg/job_encoding.h"

namespace skerry {
namespace {

using Stage = NodeWork::Stage;

bool IsOut(const NodeWork& work) {
  return work.stage == Stage::kFailed || work.client == nullptr || work.client->is_aborted();
}

// The node takes no further part in the round.
void Leave(HostedIndex index, const absl::Status& why, SessionData& data, SessionOutbox& out) {
  NodeWork& work = data.run->round->nodes.at(index);
  if (work.stage == Stage::kTraining) out.cancel.push_back(work.training);
  data.uploads.Drop(index);
  work.unmasked.reset();
  const bool is_policy = absl::IsPermissionDenied(why);
  FailNode(index, is_policy ? proto::REJECT_REASON_POLICY : proto::REJECT_REASON_SECAGG,
           std::string(why.message()), data, out);
}

// Whether a message belongs to the round at hand; those of an older attempt are late repeats.
template <typename Message>
bool IsCurrent(const Message& message, const SessionData& data, SessionOutbox& out) {
  if (data.run && data.run->round && IsMasked(*data.run)) {
    const RoundKey& key = data.run->round->key;
    if (key.round.value() == message.round() && key.attempt.value() == message.attempt()) {
      return true;
    }
  }
  ReportIgnored(fmt::format("{} of round {}, attempt {}, which is not under way",
                            message.GetDescriptor()->name(), message.round(), message.attempt()),
                out);
  return false;
}

SessionParams ParamsOf(const SessionData& data) {
  const Run& run = *data.run;
  const LocalRound& round = *run.round;
  const absl::StatusOr<UpdateEncoding> encoding = EncodingOf(*run.job, run.layout->element_count());
  SKERRY_ASSERT(encoding.ok());  // OpenJob has looked
  SessionParams params{
      .run = run.id,
      .round = round.key.round,
      .attempt = round.key.attempt,
      .model_sha256 = {},
      .job_sha256 = data.functions.sha256(
          {reinterpret_cast<const uint8_t*>(run.job_yaml.data()), run.job_yaml.size()}),
      .vector_length = encoding->layout().size(),
      .scale_bits = static_cast<uint32_t>(encoding->scale_bits()),
      .colluders = run.job->secagg.colluders,
      .dropout_tolerance = run.job->secagg.dropout_tolerance,
      .min_survivors = run.job->secagg.min_survivors};
  params.clip_norm = round.clip_norm;
  std::copy(round.model.sha256.begin(), round.model.sha256.end(), params.model_sha256.begin());
  return params;
}

// Checked once for all nodes of this process: it is the same for each.
absl::StatusOr<std::shared_ptr<const SessionRoster>> CheckRoster(const proto::KeyRoster& roster,
                                                                 SessionData& data) {
  LocalRound& round = *data.run->round;
  const std::string bytes = roster.SerializeAsString();
  if (round.roster != nullptr && round.roster_bytes == bytes) return round.roster;
  SKERRY_ASSIGN_OR_RETURN(
      SessionRoster checked,
      SessionRoster::Create(ParamsOf(data), roster, data.functions.identity_of, *round.crypto));
  const auto shared = std::make_shared<const SessionRoster>(std::move(checked));
  if (round.roster == nullptr) {
    round.roster = shared;
    round.roster_bytes = bytes;
  }
  return shared;
}

// The roster with its ring; drawn once for all nodes of this process.
absl::StatusOr<std::shared_ptr<const SessionRoster>> DrawRing(const proto::RingNonces& ring,
                                                              SessionData& data) {
  LocalRound& round = *data.run->round;
  if (round.roster == nullptr) {
    return absl::FailedPreconditionError("nonces came before the list of members");
  }
  if (!round.roster->needs_ring()) {
    if (!round.ring_bytes.empty() && ring.nonces() == round.ring_bytes) return round.roster;
    return absl::InvalidArgumentError("nonces that do not belong to this session");
  }
  std::vector<NodeId> own;
  for (const auto& [index, work] : round.nodes) own.push_back(data.node(index).id);
  SKERRY_ASSIGN_OR_RETURN(SessionRoster drawn, round.roster->WithRing(ring, own, *round.crypto));
  round.roster = std::make_shared<const SessionRoster>(std::move(drawn));
  round.ring_bytes = ring.nonces();
  return round.roster;
}

// Calls `step` for the clients of all nodes that are in the session; one that fails is out.
template <typename StepFunction>
void ForEachClient(SessionData& data, SessionOutbox& out, StepFunction step) {
  for (auto& [index, work] : data.run->round->nodes) {
    if (IsOut(work) || work.stage == Stage::kWithdrawn) continue;
    if (const absl::Status done = step(*work.client); !done.ok()) Leave(index, done, data, out);
  }
}

absl::Status SendShares(SecAggClient& client, std::shared_ptr<const SessionRoster> roster,
                        SessionOutbox& out) {
  SKERRY_ASSIGN_OR_RETURN(proto::KeyShares shares, client.TakeRoster(std::move(roster)));
  *out.send.emplace_back().mutable_key_shares() = std::move(shares);
  return absl::OkStatus();
}

void MaskIfReady(HostedIndex index, SessionData& data, SessionOutbox& out) {
  LocalRound& round = *data.run->round;
  NodeWork& work = round.nodes.at(index);
  if (work.stage != Stage::kTrained || IsOut(work) || !work.client->has_masks()) return;
  // From here on the masks are used up: no other bytes of this node are ever masked with them.
  data.run->newest_masked = round.key;
  work.stage = Stage::kMasking;
  data.maskings.emplace(work.training, OutstandingTraining{.round = round.key, .node = index});
  out.work.push_back(
      MaskWork{.training = work.training,
               .update = *std::exchange(work.unmasked, std::nullopt),
               .masks = std::make_shared<const std::vector<MaskKey>>(work.client->TakeMasks())});
}

// Calls `answer` for the nodes that a message asks. Those that cannot help, because their process
// was restarted or their session ended, say so: nobody waits for them then.
template <typename Message, typename Answer>
void AnswerForNodes(const Message& message, SessionData& data, SessionOutbox& out, Answer answer) {
  const bool is_current = IsCurrent(message, data, out);
  for (const std::string& id : message.nodes()) {
    const std::optional<HostedIndex> index = data.Find(id);
    if (!index) continue;
    const bool has_client = is_current && data.run->round->nodes.contains(*index) &&
                            !IsOut(data.run->round->nodes.at(*index)) &&
                            data.run->round->roster != nullptr;
    if (!has_client) {
      SendFailure(data.node(*index),
                  {.round = RoundId(message.round()), .attempt = AttemptId(message.attempt())},
                  proto::REJECT_REASON_SECAGG, out);
      continue;
    }
    const absl::StatusOr<MemberSet> survivors =
        MemberSet::Parse(message.survivors(), data.run->round->roster->size());
    const absl::Status answered =
        survivors.ok() ? answer(*data.run->round->nodes.at(*index).client, *survivors)
                       : survivors.status();
    if (!answered.ok()) Leave(*index, answered, data, out);
  }
}

}  // namespace

bool IsMasked(const Run& run) { return run.job != nullptr && run.job->secagg.enabled; }

bool RefuseSpent(const proto::RoundTask& task, SessionData& data, SessionOutbox& out) {
  const RoundKey key{.round = RoundId(task.round()), .attempt = AttemptId(task.attempt())};
  const std::optional<RoundKey>& newest = data.run->newest_masked;
  const bool is_spent = newest && key <= *newest;
  const bool is_excessive = IsMasked(*data.run) && task.attempt() > protocol::kRoundAttemptsMax;
  if (!is_spent && !is_excessive) return false;
  ReportIgnored(
      fmt::format("RoundTask of round {}, attempt {}: {}", task.round(), task.attempt(),
                  is_spent ? "an update of it was masked before, and a second one would give the "
                             "first away"
                           : "a round is attempted three times at most"),
      out);
  for (const std::string& id : task.nodes()) {
    if (const std::optional<HostedIndex> index = data.Find(id)) {
      SendFailure(data.node(*index), key, proto::REJECT_REASON_POLICY, out);
    }
  }
  return true;
}

void SendAdvert(HostedIndex index, SessionData& data, SessionOutbox& out) {
  NodeWork& work = data.run->round->nodes.at(index);
  if (work.client == nullptr) {
    const NodeId node = data.node(index).id;
    work.client = std::make_unique<SecAggClient>(SecAggClient::Options{
        .params = ParamsOf(data),
        .node = node,
        .sign = [sign = data.functions.sign,
                 node](std::span<const uint8_t> message) { return sign(node, message); },
        .crypto = data.run->round->crypto.get(),
        .random = data.functions.random,
        .members_min = data.options.policy.cohort_min,
        .survivors_min = data.options.policy.survivors_min});
  }
  if (work.client->is_aborted()) return;
  *out.send.emplace_back().mutable_key_advert() = work.client->advert();
}

void TakeKeyRoster(const proto::KeyRoster& roster, SessionData& data, SessionOutbox& out) {
  if (!IsCurrent(roster, data, out)) return;
  const absl::StatusOr<std::shared_ptr<const SessionRoster>> checked = CheckRoster(roster, data);
  ForEachClient(data, out, [&](SecAggClient& client) {
    SKERRY_RETURN_IF_ERROR(checked.status());
    // The announced list, or what became of it when its ring was drawn.
    const bool has_ring = !data.run->round->ring_bytes.empty();
    if ((*checked)->needs_ring() || has_ring) {
      if (has_ring && *checked == data.run->round->roster) return absl::OkStatus();
      SKERRY_ASSIGN_OR_RETURN(*out.send.emplace_back().mutable_ring_reveal(),
                              client.RevealNonce(**checked));
      return absl::OkStatus();
    }
    return SendShares(client, *checked, out);
  });
}

void TakeRingNonces(const proto::RingNonces& ring, SessionData& data, SessionOutbox& out) {
  if (!IsCurrent(ring, data, out)) return;
  const absl::StatusOr<std::shared_ptr<const SessionRoster>> drawn = DrawRing(ring, data);
  ForEachClient(data, out, [&](SecAggClient& client) {
    SKERRY_RETURN_IF_ERROR(drawn.status());
    return SendShares(client, *drawn, out);
  });
}

void TakeShareDelivery(const proto::ShareDelivery& delivery, SessionData& data,
                       SessionOutbox& out) {
  if (!IsCurrent(delivery, data, out)) return;
  LocalRound& round = *data.run->round;
  for (const proto::SealedForNode& sealed : delivery.nodes()) {
    const std::optional<HostedIndex> index = data.Find(sealed.node());
    if (!index || !round.nodes.contains(*index)) {
      ReportIgnored(fmt::format("ShareDelivery for {}, which has no task", sealed.node()), out);
      continue;
    }
    NodeWork& work = round.nodes.at(*index);
    if (IsOut(work)) continue;
    absl::Status taken = absl::FailedPreconditionError("shares came before the list of members");
    if (round.roster != nullptr) {
      const absl::StatusOr<MemberSet> members =
          MemberSet::Parse(delivery.members(), round.roster->size());
      taken = members.ok() ? work.client->TakeShares(*members, sealed.sealed()) : members.status();
    }
    if (taken.ok()) {
      MaskIfReady(*index, data, out);
    } else {
      Leave(*index, taken, data, out);
    }
  }
}

void TakeSurvivorSet(const proto::SurvivorSet& set, SessionData& data, SessionOutbox& out) {
  AnswerForNodes(set, data, out, [&](SecAggClient& client, const MemberSet& survivors) {
    const auto signature = client.SignSurvivors(survivors);
    if (!signature.ok()) return signature.status();
    *out.send.emplace_back().mutable_survivor_signature() = *signature;
    return absl::OkStatus();
  });
}

void TakeUnmaskRequest(const proto::UnmaskRequest& request, SessionData& data, SessionOutbox& out) {
  AnswerForNodes(request, data, out, [&](SecAggClient& client, const MemberSet&) {
    const auto shares = client.Unmask(request);
    if (!shares.ok()) return shares.status();
    *out.send.emplace_back().mutable_unmask_shares() = *shares;
    return absl::OkStatus();
  });
}

void HoldUpdate(HostedIndex index, Frame update, SessionData& data, SessionOutbox& out) {
  NodeWork& work = data.run->round->nodes.at(index);
  if (IsOut(work)) return;
  work.unmasked = std::move(update);
  work.permille = 1000;
  if (work.stage == Stage::kWithdrawn) return;  // kept in case the node is asked again
  work.stage = Stage::kTrained;
  MaskIfReady(index, data, out);
}

bool ResumeMasking(HostedIndex index, SessionData& data, SessionOutbox& out) {
  NodeWork& work = data.run->round->nodes.at(index);
  if (data.maskings.contains(work.training)) {
    work.stage = Stage::kMasking;
    return true;
  }
  if (!work.unmasked) return !work.client->has_used_masks();
  work.stage = Stage::kTrained;
  MaskIfReady(index, data, out);
  return true;
}

void TakeMaskDone(const MaskDone& in, SessionData& data, Instant now, SessionOutbox& out) {
  const auto it = data.maskings.find(in.training);
  if (it == data.maskings.end()) return;
  const OutstandingTraining masking = it->second;
  data.maskings.erase(it);
  const bool is_current = data.run && data.run->round && data.run->round->key == masking.round;
  if (!is_current || IsOut(data.run->round->nodes.at(masking.node))) return;
  KeepUpload(masking.node, in.upload, data, out);
  MarkUploadProgress(data, now);
}

}  // namespace skerry
