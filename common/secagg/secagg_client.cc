#include "common/secagg/secagg_client.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/crypto/sealed_box.h"
#include "common/crypto/sha256.h"
#include "common/protocol/limits.h"

namespace skerry {
namespace {

constexpr size_t kSecretBytes = 32;
constexpr size_t kSealedBytes = protocol::kSealedShareBytes;
static_assert(kSealedBytes == 2 * kShareBytes + kSealTagBytes);
static_assert(protocol::kShareBytes == kShareBytes);

// A sealing key is used for one message only, so the nonce need not vary.
constexpr std::array<uint8_t, kSealNonceBytes> kNonce{};

template <typename Bytes>
std::string Text(const Bytes& bytes) {
  return std::string(bytes.begin(), bytes.end());
}

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// What must not differ between two requests: all but whom the message is for.
std::string EssenceOf(const proto::UnmaskRequest& request) {
  Transcript essence("request");
  essence.Append("survivors", request.survivors());
  for (const proto::SurvivorProof& proof : request.proofs()) {
    essence.AppendU64("member", proof.member()).Append("signature", proof.signature());
  }
  return Text(essence.Digest());
}

void Wipe(ShamirShare& share) {
  WipeBytes({reinterpret_cast<uint8_t*>(share.data()), sizeof(share)});
}

}  // namespace

SecAggClient::SecAggClient(Options options) : options_(std::move(options)) {
  cipher_ = options_.crypto->Generate(*options_.random);
  mask_ = options_.crypto->Generate(*options_.random);
  seed_ = options_.random->DrawSecret(kSecretBytes);
  nonce_.resize(protocol::kRingNonceBytes);
  options_.random->Fill({reinterpret_cast<uint8_t*>(nonce_.data()), nonce_.size()});
  advert_.set_node(options_.node.value());
  advert_.set_round(options_.params.round.value());
  advert_.set_attempt(options_.params.attempt.value());
  advert_.set_cipher_key(Text(cipher_.public_key));
  advert_.set_mask_key(Text(mask_.public_key));
  advert_.set_seed_commitment(Text(SeedCommitment(seed_)));
  advert_.set_ring_commitment(Text(RingCommitment(nonce_)));
  advert_.set_signature(Text(options_.sign(AdvertTranscript(options_.params, advert_).bytes())));
}

void SecAggClient::Wipe() {
  cipher_ = {};
  mask_ = {};
  seed_ = {};
  skerry::Wipe(own_shares_.mask_key);
  skerry::Wipe(own_shares_.seed);
  agreed_.clear();
  for (HeldShares& held : held_) {
    skerry::Wipe(held.shares.mask_key);
    skerry::Wipe(held.shares.seed);
  }
  held_.clear();
  masks_.clear();
}

absl::Status SecAggClient::Abort(absl::Status why) {
  Wipe();
  unmask_shares_.Clear();
  stage_ = Stage::kAborted;
  abort_reason_ = std::string(why.message());
  return why;
}

absl::Status SecAggClient::CheckAlive() const {
  if (stage_ != Stage::kAborted) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("the session of {} was ended: {}", options_.node.value(), abort_reason_));
}

// ---- keys --------------------------------------------------------------------------------------

absl::Status SecAggClient::CheckOwnKeys(const SessionRoster& roster) const {
  const std::optional<size_t> self = roster.Find(options_.node);
  if (!self) return absl::InvalidArgumentError("the members do not include this node");
  const SessionMember& member = roster.members()[*self];
  if (member.cipher_key != cipher_.public_key || member.mask_key != mask_.public_key ||
      member.seed_commitment != SeedCommitment(seed_) ||
      member.ring_commitment != RingCommitment(nonce_)) {
    return absl::InvalidArgumentError("the list of members has other keys for this node");
  }
  const auto members_min = static_cast<size_t>(std::max<int64_t>(options_.members_min, 0));
  if (roster.size() < members_min) {
    return absl::PermissionDeniedError(fmt::format(
        "the session has {} members, policy.cohort_min asks for {}", roster.size(), members_min));
  }
  return absl::OkStatus();
}

absl::StatusOr<proto::RingReveal> SecAggClient::RevealNonce(const SessionRoster& roster) {
  SKERRY_RETURN_IF_ERROR(CheckAlive());
  // With the nonce in hand a coordinator could look for another list whose ring suits it.
  if (stage_ != Stage::kAdvertised && revealed_for_ != roster.cohort_id()) {
    return Abort(absl::InvalidArgumentError("a second, different list of members"));
  }
  if (!roster.needs_ring()) {
    return Abort(absl::InvalidArgumentError("asked for a nonce though the graph is complete"));
  }
  if (const absl::Status own = CheckOwnKeys(roster); !own.ok()) return Abort(own);
  revealed_for_ = roster.cohort_id();
  if (stage_ == Stage::kAdvertised) stage_ = Stage::kRevealed;
  proto::RingReveal reveal;
  reveal.set_node(options_.node.value());
  reveal.set_round(options_.params.round.value());
  reveal.set_attempt(options_.params.attempt.value());
  reveal.set_nonce(nonce_);
  return reveal;
}

absl::StatusOr<proto::KeyShares> SecAggClient::TakeRoster(
    std::shared_ptr<const SessionRoster> roster) {
  SKERRY_RETURN_IF_ERROR(CheckAlive());
  if (stage_ > Stage::kRevealed) {
    if (roster->session_id() == roster_->session_id()) return sealed_shares_;
    return Abort(absl::InvalidArgumentError("a second, different list of members"));
  }
  if (roster->needs_ring()) {
    return Abort(absl::InvalidArgumentError("the members came without the ring they need"));
  }
  if (revealed_for_ && *revealed_for_ != roster->cohort_id()) {
    return Abort(absl::InvalidArgumentError("a ring for another list of members"));
  }
  if (const absl::Status own = CheckOwnKeys(*roster); !own.ok()) return Abort(own);
  roster_ = std::move(roster);
  self_ = *roster_->Find(options_.node);
  partners_ = roster_->graph().PartnersOf(self_);
  absl::StatusOr<proto::KeyShares> sealed = SealShares();
  if (!sealed.ok()) return Abort(sealed.status());
  sealed_shares_ = *std::move(sealed);
  stage_ = Stage::kShared;
  return sealed_shares_;
}

absl::StatusOr<proto::KeyShares> SecAggClient::SealShares() {
  const std::span<const size_t> holders = roster_->graph().HoldersOf(self_);
  std::vector<uint32_t> xs;
  for (const size_t holder : holders) xs.push_back(static_cast<uint32_t>(holder + 1));
  std::vector<ShamirShare> mask_shares =
      SplitSecret(mask_.secret, roster_->threshold(), xs, *options_.random);
  std::vector<ShamirShare> seed_shares =
      SplitSecret(seed_, roster_->threshold(), xs, *options_.random);
  proto::KeyShares result;
  result.set_node(options_.node.value());
  result.set_round(options_.params.round.value());
  result.set_attempt(options_.params.attempt.value());
  absl::Status failed;
  const SecAggCrypto::AgreeFunction agree = options_.crypto->AgreementOf(cipher_.secret);
  agreed_.reserve(partners_.size());
  for (size_t i = 0; i < holders.size() && failed.ok(); ++i) {
    const size_t to = holders[i];
    if (to == self_) {
      own_shares_ = {.mask_key = mask_shares[i], .seed = seed_shares[i]};
      continue;
    }
    if (!roster_->IsVerified(to)) {
      failed = absl::UnauthenticatedError(
          fmt::format("the keys of {} were not checked", roster_->members()[to].node.value()));
      break;
    }
    absl::StatusOr<SecretBytes> agreed = agree(roster_->members()[to].cipher_key);
    if (!agreed.ok()) {
      failed = agreed.status();
      break;
    }
    const ShareSealing sealing = SealingFor(*roster_, *agreed, self_, to);
    agreed_.push_back(*std::move(agreed));
    SecretBytes plain(2 * kShareBytes);
    WriteShare(mask_shares[i], plain.mutable_bytes().first(kShareBytes));
    WriteShare(seed_shares[i], plain.mutable_bytes().last(kShareBytes));
    const std::vector<uint8_t> sealed = Seal(
        {.key = sealing.key.bytes(), .nonce = kNonce, .associated = sealing.associated.bytes()},
        plain.bytes());
    result.mutable_sealed()->append(sealed.begin(), sealed.end());
  }
  for (ShamirShare& share : mask_shares) skerry::Wipe(share);
  for (ShamirShare& share : seed_shares) skerry::Wipe(share);
  SKERRY_RETURN_IF_ERROR(failed);
  return result;
}

// ---- masks -------------------------------------------------------------------------------------

absl::Status SecAggClient::TakeShares(const MemberSet& members, std::string_view sealed) {
  SKERRY_RETURN_IF_ERROR(CheckAlive());
  if (stage_ <= Stage::kRevealed) {
    return Abort(absl::FailedPreconditionError("shares came before the list of members"));
  }
  const std::string digest = Text(
      Transcript("delivery").Append("members", members.bitmap()).Append("sealed", sealed).Digest());
  if (stage_ != Stage::kShared) {
    if (digest == delivered_) return absl::OkStatus();
    return Abort(absl::InvalidArgumentError("a second, different delivery of shares"));
  }
  if (members.member_count() != roster_->size() || !members.Contains(self_)) {
    return Abort(absl::InvalidArgumentError("the delivery leaves this node out"));
  }
  if (members.size() < roster_->survivors_min()) {
    return Abort(absl::InvalidArgumentError(fmt::format("{} members gave shares, {} are needed",
                                                        members.size(), roster_->survivors_min())));
  }
  if (const absl::Status opened = OpenShares(members, sealed); !opened.ok()) return Abort(opened);
  if (const absl::Status derived = DeriveMasks(members); !derived.ok()) return Abort(derived);
  members_ = members;
  delivered_ = digest;
  // The others hold their shares; nobody needs these here any more.
  cipher_ = {};
  mask_ = {};
  seed_ = {};
  agreed_.clear();
  stage_ = Stage::kMasksReady;
  return absl::OkStatus();
}

absl::Status SecAggClient::OpenShares(const MemberSet& members, std::string_view sealed) {
  const auto senders =
      static_cast<size_t>(std::count_if(partners_.begin(), partners_.end(),
                                        [&](size_t partner) { return members.Contains(partner); }));
  if (sealed.size() != senders * kSealedBytes) {
    return absl::InvalidArgumentError(fmt::format("the delivery has {} bytes instead of {}",
                                                  sealed.size(), senders * kSealedBytes));
  }
  size_t partner = 0;  // index of the next one in partners_
  for (const size_t from : roster_->graph().HoldersOf(self_)) {
    if (from == self_) {
      held_.push_back({.member = self_, .shares = own_shares_});
      continue;
    }
    const SecretBytes& agreed = agreed_[partner++];
    if (!members.Contains(from)) continue;
    const ShareSealing sealing = SealingFor(*roster_, agreed, from, self_);
    const absl::StatusOr<SecretBytes> plain = OpenSealed(
        {.key = sealing.key.bytes(), .nonce = kNonce, .associated = sealing.associated.bytes()},
        Bytes(sealed.substr(0, kSealedBytes)));
    sealed.remove_prefix(kSealedBytes);
    if (!plain.ok() || plain->size() != 2 * kShareBytes) {
      return absl::UnauthenticatedError(fmt::format("the shares from {} were forged or damaged",
                                                    roster_->members()[from].node.value()));
    }
    HeldShares& held = held_.emplace_back();
    held.member = from;
    SKERRY_ASSIGN_OR_RETURN(held.shares.mask_key, ReadShare(plain->bytes().first(kShareBytes)));
    SKERRY_ASSIGN_OR_RETURN(held.shares.seed, ReadShare(plain->bytes().last(kShareBytes)));
  }
  return absl::OkStatus();
}

absl::Status SecAggClient::DeriveMasks(const MemberSet& members) {
  masks_.reserve(partners_.size() + 1);
  const SecAggCrypto::AgreeFunction agree = options_.crypto->AgreementOf(mask_.secret);
  masks_.push_back(SelfMask(*roster_, seed_, self_));
  for (const size_t partner : partners_) {
    if (!members.Contains(partner)) continue;
    SKERRY_ASSIGN_OR_RETURN(const SecretBytes agreed, agree(roster_->members()[partner].mask_key));
    masks_.push_back(PairMask(*roster_, agreed, self_, partner));
  }
  return absl::OkStatus();
}

std::vector<MaskKey> SecAggClient::TakeMasks() {
  SKERRY_ASSERT(stage_ == Stage::kMasksReady);
  stage_ = Stage::kMasked;
  return std::exchange(masks_, {});
}

// ---- survivors ---------------------------------------------------------------------------------

absl::StatusOr<proto::SurvivorSignature> SecAggClient::SignSurvivors(const MemberSet& survivors) {
  SKERRY_RETURN_IF_ERROR(CheckAlive());
  if (stage_ == Stage::kSigned || stage_ == Stage::kUnmasked) {
    if (survivors == survivors_) return survivor_signature_;
    return Abort(absl::InvalidArgumentError("a second, different set of survivors"));
  }
  if (stage_ != Stage::kMasked) {
    return Abort(absl::FailedPreconditionError("survivors were named before the update was sent"));
  }
  if (!survivors.IsSubsetOf(members_)) {
    return Abort(absl::InvalidArgumentError("the survivors include nodes that gave no shares"));
  }
  if (!survivors.Contains(self_)) {
    return Abort(absl::InvalidArgumentError("the survivors leave this node out"));
  }
  const size_t least = std::max(roster_->survivors_min(),
                                static_cast<size_t>(std::max<int64_t>(options_.survivors_min, 0)));
  if (survivors.size() < least) {
    return Abort(absl::InvalidArgumentError(
        fmt::format("{} survivors, {} are needed", survivors.size(), least)));
  }
  survivors_ = survivors;
  survivor_signature_.set_node(options_.node.value());
  survivor_signature_.set_round(options_.params.round.value());
  survivor_signature_.set_attempt(options_.params.attempt.value());
  survivor_signature_.set_signature(
      Text(options_.sign(SurvivorTranscript(*roster_, survivors).bytes())));
  stage_ = Stage::kSigned;
  return survivor_signature_;
}

// Enough of those who hold shares of this node's secrets have signed. Others' signatures do not
// concern it.
absl::Status SecAggClient::CheckProofs(const proto::UnmaskRequest& request) const {
  const std::span<const size_t> holders = roster_->graph().HoldersOf(self_);
  const Transcript signed_bytes = SurvivorTranscript(*roster_, survivors_);
  std::optional<size_t> last;
  size_t count = 0;
  for (const proto::SurvivorProof& proof : request.proofs()) {
    const size_t member = proof.member();
    if (member >= roster_->size() || (last && member <= *last) || !survivors_.Contains(member)) {
      return absl::InvalidArgumentError("the signatures are not sorted, or not of survivors");
    }
    last = member;
    if (!std::binary_search(holders.begin(), holders.end(), member)) continue;
    const SessionMember& signer = roster_->members()[member];
    if (!options_.crypto->Verify(signer.identity, signed_bytes.bytes(), Bytes(proof.signature()))) {
      return absl::UnauthenticatedError(fmt::format(
          "{} has not signed the set of survivors that this node signed", signer.node.value()));
    }
    ++count;
  }
  if (count >= roster_->threshold()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} survivors have signed the set, {} are needed", count, roster_->threshold()));
}

absl::StatusOr<proto::UnmaskShares> SecAggClient::Unmask(const proto::UnmaskRequest& request) {
  SKERRY_RETURN_IF_ERROR(CheckAlive());
  if (stage_ == Stage::kUnmasked) {
    if (EssenceOf(request) == answered_request_) return unmask_shares_;
    return Abort(absl::InvalidArgumentError("a second, different request to unmask"));
  }
  if (stage_ != Stage::kSigned) {
    return Abort(absl::FailedPreconditionError("asked to unmask before the survivors were signed"));
  }
  if (request.survivors() != survivors_.bitmap()) {
    return Abort(absl::InvalidArgumentError("asked to unmask another set of survivors"));
  }
  if (const absl::Status proven = CheckProofs(request); !proven.ok()) return Abort(proven);
  unmask_shares_.set_node(options_.node.value());
  unmask_shares_.set_round(options_.params.round.value());
  unmask_shares_.set_attempt(options_.params.attempt.value());
  std::string& text = *unmask_shares_.mutable_shares();
  for (const HeldShares& held : held_) {
    // One of the two secrets of a node, never both: with both its update would be open.
    std::array<uint8_t, kShareBytes> bytes{};
    WriteShare(survivors_.Contains(held.member) ? held.shares.seed : held.shares.mask_key, bytes);
    text.append(bytes.begin(), bytes.end());
  }
  answered_request_ = EssenceOf(request);
  stage_ = Stage::kUnmasked;
  Wipe();
  return unmask_shares_;
}

}  // namespace skerry
