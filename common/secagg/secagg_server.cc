#include "common/secagg/secagg_server.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/protocol/limits.h"

namespace skerry {
namespace {

using proto::RejectReason;

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Any secret shows a key with which agreements are predictable.
bool IsUsable(const std::string& key, const SecAggCrypto& crypto) {
  AgreementPublicKey peer{};
  std::copy(key.begin(), key.end(), peer.begin());
  const SecretBytes any(AgreementKeyPair::kSecretBytes);
  return crypto.AgreementOf(any)(peer).ok();
}

}  // namespace

absl::StatusOr<SecAggServer> SecAggServer::Restore(Options options,
                                                   const proto::SessionState& state) {
  SecAggServer server(std::move(options));
  for (const proto::KeyAdvert& advert : state.roster().adverts()) {
    server.adverts_.emplace(NodeId(advert.node()), advert);
  }
  SKERRY_RETURN_IF_ERROR(server.CloseKeys());
  if (server.stage_ == Stage::kRing) {
    if (!state.has_ring()) return server;
    SKERRY_RETURN_IF_ERROR(server.SetRing(state.ring()));
  }
  if (state.shares().empty()) return server;
  for (const proto::KeyShares& shares : state.shares()) {
    server.shares_.emplace(NodeId(shares.node()), shares);
  }
  server.CloseShares();
  if (state.survivors().empty()) return server;
  SKERRY_ASSIGN_OR_RETURN(server.survivors_,
                          MemberSet::Parse(state.survivors(), server.roster_->size()));
  server.state_.set_survivors(state.survivors());
  server.stage_ = Stage::kSignatures;
  if (!state.has_unmask_request()) return server;
  *server.state_.mutable_unmask_request() = state.unmask_request();
  for (const proto::SurvivorProof& proof : state.unmask_request().proofs()) {
    server.signatures_.emplace(proof.member(), proof.signature());
  }
  server.stage_ = Stage::kUnmasking;
  return server;
}

size_t SecAggServer::IndexOf(const NodeId& node) const {
  return roster_ == nullptr ? 0 : roster_->Find(node).value_or(roster_->size());
}

RejectReason SecAggServer::CheckAttempt(uint64_t round, uint32_t attempt) const {
  const bool is_current =
      round == options_.params.round.value() && attempt == options_.params.attempt.value();
  return is_current ? proto::REJECT_REASON_UNSPECIFIED : proto::REJECT_REASON_WRONG_ROUND;
}

// ---- keys --------------------------------------------------------------------------------------

RejectReason SecAggServer::TakeAdvert(const proto::KeyAdvert& advert) {
  if (const RejectReason refusal = CheckAttempt(advert.round(), advert.attempt());
      refusal != proto::REJECT_REASON_UNSPECIFIED) {
    return refusal;
  }
  const NodeId node(advert.node());
  const auto known = adverts_.find(node);
  const bool is_repeat =
      known != adverts_.end() && known->second.SerializeAsString() == advert.SerializeAsString();
  if (is_repeat) return proto::REJECT_REASON_UNSPECIFIED;
  if (stage_ != Stage::kKeys) return proto::REJECT_REASON_KEYS_CLOSED;
  const std::optional<Ed25519PublicKey> identity = options_.identity_of(node);
  if (!identity) return proto::REJECT_REASON_NOT_IN_ROSTER;
  if (!options_.crypto->Verify(*identity, AdvertTranscript(options_.params, advert).bytes(),
                               Bytes(advert.signature()))) {
    return proto::REJECT_REASON_BAD_SIGNATURE;
  }
  // With a point of small order every honest node would end its session; so its owner stays out.
  if (!IsUsable(advert.cipher_key(), *options_.crypto) ||
      !IsUsable(advert.mask_key(), *options_.crypto)) {
    return proto::REJECT_REASON_MALFORMED;
  }
  adverts_[node] = advert;  // a process that was restarted has new keys
  return proto::REJECT_REASON_UNSPECIFIED;
}

const proto::KeyAdvert* SecAggServer::FindAdvert(const NodeId& node) const {
  const auto it = adverts_.find(node);
  return it == adverts_.end() ? nullptr : &it->second;
}

void SecAggServer::Forget(const NodeId& node) {
  if (stage_ == Stage::kKeys) adverts_.erase(node);
}

absl::Status SecAggServer::CloseKeys() {
  SKERRY_ASSERT(stage_ == Stage::kKeys);
  proto::KeyRoster roster;
  roster.set_round(options_.params.round.value());
  roster.set_attempt(options_.params.attempt.value());
  for (const auto& [node, advert] : adverts_) *roster.add_adverts() = advert;
  SKERRY_ASSIGN_OR_RETURN(
      SessionRoster checked,
      SessionRoster::Create(options_.params, roster, options_.identity_of, *options_.crypto));
  roster_ = std::make_shared<const SessionRoster>(std::move(checked));
  *state_.mutable_roster() = std::move(roster);
  stage_ = roster_->needs_ring() ? Stage::kRing : Stage::kShares;
  return absl::OkStatus();
}

// ---- ring --------------------------------------------------------------------------------------

RejectReason SecAggServer::TakeReveal(const proto::RingReveal& reveal) {
  if (const RejectReason refusal = CheckAttempt(reveal.round(), reveal.attempt());
      refusal != proto::REJECT_REASON_UNSPECIFIED) {
    return refusal;
  }
  if (stage_ == Stage::kKeys) return proto::REJECT_REASON_MALFORMED;
  const NodeId node(reveal.node());
  const size_t index = IndexOf(node);
  if (index == roster_->size()) return proto::REJECT_REASON_KEYS_CLOSED;
  if (RingCommitment(reveal.nonce()) != roster_->members()[index].ring_commitment) {
    return proto::REJECT_REASON_MALFORMED;
  }
  if (stage_ == Stage::kRing) nonces_[node] = reveal.nonce();
  return proto::REJECT_REASON_UNSPECIFIED;
}

void SecAggServer::CloseRing() {
  SKERRY_ASSERT(stage_ == Stage::kRing);
  SKERRY_ASSERT(nonces_.size() == roster_->size());
  proto::RingNonces ring;
  ring.set_round(options_.params.round.value());
  ring.set_attempt(options_.params.attempt.value());
  for (const auto& [node, nonce] : nonces_) ring.mutable_nonces()->append(nonce);
  SKERRY_ASSERT(SetRing(ring).ok());  // each nonce was checked when it came
}

absl::Status SecAggServer::SetRing(const proto::RingNonces& ring) {
  // Adverts were checked when they came.
  SKERRY_ASSIGN_OR_RETURN(SessionRoster with_ring,
                          roster_->WithRing(ring, /*own=*/{}, *options_.crypto));
  roster_ = std::make_shared<const SessionRoster>(std::move(with_ring));
  *state_.mutable_ring() = ring;
  stage_ = Stage::kShares;
  return absl::OkStatus();
}

// ---- shares ------------------------------------------------------------------------------------

RejectReason SecAggServer::TakeShares(const proto::KeyShares& shares) {
  if (const RejectReason refusal = CheckAttempt(shares.round(), shares.attempt());
      refusal != proto::REJECT_REASON_UNSPECIFIED) {
    return refusal;
  }
  if (stage_ < Stage::kShares) return proto::REJECT_REASON_MALFORMED;
  const NodeId node(shares.node());
  const auto known = shares_.find(node);
  if (known != shares_.end()) {
    return known->second.sealed() == shares.sealed() ? proto::REJECT_REASON_UNSPECIFIED
                                                     : proto::REJECT_REASON_DUPLICATE;
  }
  const size_t index = IndexOf(node);
  if (stage_ != Stage::kShares || index == roster_->size()) return proto::REJECT_REASON_KEYS_CLOSED;
  const size_t partners = roster_->graph().PartnersOf(index).size();
  if (shares.sealed().size() != partners * protocol::kSealedShareBytes) {
    return proto::REJECT_REASON_MALFORMED;
  }
  shares_.emplace(node, shares);
  return proto::REJECT_REASON_UNSPECIFIED;
}

void SecAggServer::CloseShares() {
  SKERRY_ASSERT(stage_ == Stage::kShares);
  members_ = MemberSet(roster_->size());
  for (const auto& [node, shares] : shares_) {
    members_.Insert(IndexOf(node));
    *state_.add_shares() = shares;
  }
  stage_ = Stage::kUpdates;
}

bool SecAggServer::IsMember(const NodeId& node) const {
  return stage_ >= Stage::kUpdates && shares_.contains(node);
}

proto::ShareDelivery SecAggServer::DeliveryFor(std::span<const NodeId> nodes) const {
  proto::ShareDelivery delivery;
  delivery.set_round(options_.params.round.value());
  delivery.set_attempt(options_.params.attempt.value());
  delivery.set_members(members_.bitmap());
  for (const NodeId& node : nodes) {
    const size_t to = IndexOf(node);
    proto::SealedForNode& sealed = *delivery.add_nodes();
    sealed.set_node(node.value());
    for (const size_t from : roster_->graph().PartnersOf(to)) {
      if (!members_.Contains(from)) continue;
      const size_t place = roster_->graph().PlaceAmongPartners(from, to);
      sealed.mutable_sealed()->append(shares_.at(roster_->members()[from].node).sealed(),
                                      place * protocol::kSealedShareBytes,
                                      protocol::kSealedShareBytes);
    }
  }
  return delivery;
}

// ---- survivors ---------------------------------------------------------------------------------

void SecAggServer::CloseUpdates(std::span<const NodeId> survivors) {
  SKERRY_ASSERT(stage_ == Stage::kUpdates);
  SKERRY_ASSERT(survivors.size() >= roster_->survivors_min());
  survivors_ = MemberSet(roster_->size());
  for (const NodeId& node : survivors) survivors_.Insert(IndexOf(node));
  SKERRY_ASSERT(survivors_.IsSubsetOf(members_));
  state_.set_survivors(survivors_.bitmap());
  stage_ = Stage::kSignatures;
}

bool SecAggServer::IsSurvivor(const NodeId& node) const {
  if (stage_ < Stage::kSignatures) return false;
  const size_t index = IndexOf(node);
  return index < roster_->size() && survivors_.Contains(index);
}

proto::SurvivorSet SecAggServer::survivor_set() const {
  proto::SurvivorSet set;
  set.set_round(options_.params.round.value());
  set.set_attempt(options_.params.attempt.value());
  set.set_survivors(survivors_.bitmap());
  return set;
}

RejectReason SecAggServer::TakeSignature(const proto::SurvivorSignature& signature) {
  if (const RejectReason refusal = CheckAttempt(signature.round(), signature.attempt());
      refusal != proto::REJECT_REASON_UNSPECIFIED) {
    return refusal;
  }
  const NodeId node(signature.node());
  if (!IsSurvivor(node)) return proto::REJECT_REASON_KEYS_CLOSED;
  const size_t index = IndexOf(node);
  if (stage_ != Stage::kSignatures) return proto::REJECT_REASON_UNSPECIFIED;  // not needed
  if (!options_.crypto->Verify(roster_->members()[index].identity,
                               SurvivorTranscript(*roster_, survivors_).bytes(),
                               Bytes(signature.signature()))) {
    return proto::REJECT_REASON_BAD_SIGNATURE;
  }
  signatures_.emplace(index, signature.signature());
  return proto::REJECT_REASON_UNSPECIFIED;
}

bool SecAggServer::HasEnoughSignatures() const { return CanOpenWith(signatures_); }

void SecAggServer::CloseSignatures() {
  SKERRY_ASSERT(stage_ == Stage::kSignatures);
  SKERRY_ASSERT(HasEnoughSignatures());
  proto::UnmaskRequest& request = *state_.mutable_unmask_request();
  request.set_round(options_.params.round.value());
  request.set_attempt(options_.params.attempt.value());
  request.set_survivors(survivors_.bitmap());
  for (const auto& [index, signature] : signatures_) {
    proto::SurvivorProof& proof = *request.add_proofs();
    proof.set_member(static_cast<uint32_t>(index));
    proof.set_signature(signature);
  }
  stage_ = Stage::kUnmasking;
}

// ---- unmasking ---------------------------------------------------------------------------------

RejectReason SecAggServer::TakeUnmaskShares(const proto::UnmaskShares& shares) {
  if (const RejectReason refusal = CheckAttempt(shares.round(), shares.attempt());
      refusal != proto::REJECT_REASON_UNSPECIFIED) {
    return refusal;
  }
  const NodeId node(shares.node());
  if (stage_ != Stage::kUnmasking || !IsSurvivor(node)) return proto::REJECT_REASON_KEYS_CLOSED;
  const size_t index = IndexOf(node);
  const std::span<const size_t> owners = roster_->graph().HoldersOf(index);
  const auto held = static_cast<size_t>(std::count_if(
      owners.begin(), owners.end(), [&](size_t owner) { return members_.Contains(owner); }));
  if (shares.shares().size() != held * protocol::kShareBytes) {
    return proto::REJECT_REASON_MALFORMED;
  }
  answers_.emplace(index, shares.shares());
  return proto::REJECT_REASON_UNSPECIFIED;
}

bool SecAggServer::HasEnoughAnswers() const { return CanOpenWith(answers_); }

bool SecAggServer::CanOpenWith(std::span<const NodeId> nodes) const {
  MemberSet helpers(roster_->size());
  for (const NodeId& node : nodes) helpers.Insert(IndexOf(node));
  return roster_->CanOpen(members_, helpers);
}

bool SecAggServer::CanOpenWith(const std::map<size_t, std::string>& answers) const {
  MemberSet helpers(roster_->size());
  for (const auto& [index, bytes] : answers) helpers.Insert(index);
  return roster_->CanOpen(members_, helpers);
}

MaskRecoveryInput SecAggServer::RecoveryInput() const {
  MaskRecoveryInput input{.roster = roster_,
                          .members = members_,
                          .survivors = survivors_,
                          .answers = {},
                          .crypto = options_.crypto};
  for (const auto& [index, shares] : answers_) {
    input.answers.push_back({.member = index, .shares = shares});
  }
  return input;
}

}  // namespace skerry
