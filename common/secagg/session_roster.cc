#include "common/secagg/session_roster.h"

#include <algorithm>
#include <bit>
#include <set>
#include <span>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/crypto/hkdf.h"
#include "common/crypto/key_stream.h"
#include "common/crypto/sealed_box.h"
#include "common/protocol/limits.h"

namespace skerry {
namespace {

static_assert(kSessionNodesMax <= protocol::kSessionMembersMax);

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

template <typename Array>
Array ArrayOf(const std::string& bytes) {
  SKERRY_ASSERT(bytes.size() == Array().size());  // the codec has looked
  Array array{};
  std::copy(bytes.begin(), bytes.end(), array.begin());
  return array;
}

// What all parties must agree on goes in front of everything else.
Transcript Begin(std::string_view purpose, const SessionParams& params) {
  Transcript transcript(purpose);
  transcript.Append("run", params.run.value())
      .AppendU64("round", params.round.value())
      .AppendU64("attempt", params.attempt.value())
      .Append("model", params.model_sha256)
      .Append("job", params.job_sha256)
      .AppendU64("vector_length", params.vector_length)
      .AppendU64("scale_bits", params.scale_bits)
      .AppendU64("colluders", static_cast<uint64_t>(params.colluders))
      .AppendU64("dropout_tolerance", static_cast<uint64_t>(params.dropout_tolerance))
      .AppendU64("min_survivors", static_cast<uint64_t>(params.min_survivors));
  if (params.clip_norm.has_value()) {
    transcript.AppendU64("clip_norm", std::bit_cast<uint64_t>(*params.clip_norm));
  }
  return transcript;
}

SecretBytes Derive(const SessionRoster& roster, const SecretBytes& agreed, const Transcript& info,
                   size_t size) {
  return HkdfSha256(
      {.key_material = agreed.bytes(), .salt = roster.session_id(), .info = info.bytes()}, size);
}

absl::Status CheckSize(size_t size) {
  if (static_cast<int64_t>(size) >= kSessionNodesMin) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("a session needs {} members at least, got {}", kSessionNodesMin, size));
}

}  // namespace

Transcript AdvertTranscript(const SessionParams& params, const proto::KeyAdvert& advert) {
  Transcript transcript = Begin("skerry-secagg-advert-v1", params);
  transcript.Append("node", advert.node())
      .Append("cipher_key", advert.cipher_key())
      .Append("mask_key", advert.mask_key())
      .Append("seed_commitment", advert.seed_commitment())
      .Append("ring_commitment", advert.ring_commitment());
  return transcript;
}

Sha256Digest SeedCommitment(const SecretBytes& seed) {
  return Transcript("skerry-secagg-seed-v1").Append("seed", seed.bytes()).Digest();
}

Sha256Digest RingCommitment(std::string_view nonce) {
  return Transcript("skerry-secagg-nonce-v1").Append("nonce", nonce).Digest();
}

absl::StatusOr<SessionRoster> SessionRoster::Create(const SessionParams& params,
                                                    const proto::KeyRoster& roster,
                                                    const IdentityOf& identity_of,
                                                    const SecAggCrypto& crypto) {
  const auto size = static_cast<size_t>(roster.adverts_size());
  SKERRY_RETURN_IF_ERROR(CheckSize(size));
  SessionRoster result;
  result.params_ = params;
  result.adverts_ = std::make_shared<const proto::KeyRoster>(roster);
  std::set<std::string_view> keys;
  Transcript cohort = Begin("skerry-secagg-session-v1", params);
  cohort.AppendU64("members", size);
  for (const proto::KeyAdvert& advert : result.adverts_->adverts()) {
    const NodeId node(advert.node());
    if (!result.members_.empty() && node <= result.members_.back().node) {
      return absl::InvalidArgumentError(fmt::format("the members are not sorted by id: {} after {}",
                                                    node.value(),
                                                    result.members_.back().node.value()));
    }
    const std::optional<Ed25519PublicKey> identity = identity_of(node);
    if (!identity) {
      return absl::UnauthenticatedError(
          fmt::format("{} is not in the pinned roster, but its keys were sent", node.value()));
    }
    if (!keys.insert(advert.cipher_key()).second || !keys.insert(advert.mask_key()).second) {
      return absl::InvalidArgumentError(fmt::format("a key of {} is used twice", node.value()));
    }
    result.members_.push_back({.node = node,
                               .identity = *identity,
                               .cipher_key = ArrayOf<AgreementPublicKey>(advert.cipher_key()),
                               .mask_key = ArrayOf<AgreementPublicKey>(advert.mask_key()),
                               .seed_commitment = ArrayOf<Sha256Digest>(advert.seed_commitment()),
                               .ring_commitment = ArrayOf<Sha256Digest>(advert.ring_commitment())});
    cohort.Append("node", node.value())
        .Append("identity", identity->bytes())
        .Append("cipher_key", advert.cipher_key())
        .Append("mask_key", advert.mask_key())
        .Append("seed_commitment", advert.seed_commitment())
        .Append("ring_commitment", advert.ring_commitment());
  }
  result.is_verified_.resize(size);
  result.cohort_id_ = cohort.Digest();
  result.session_id_ = result.cohort_id_;
  result.shape_ = ShapeOfSession({.colluders = params.colluders,
                                  .dropout_tolerance = params.dropout_tolerance,
                                  .min_survivors = params.min_survivors},
                                 static_cast<int64_t>(size));
  if (result.threshold() > size) {
    return absl::InvalidArgumentError(
        fmt::format("with {} colluders {} of {} members would be needed to open the sum",
                    params.colluders, result.threshold(), size));
  }
  if (!result.shape_.is_complete) return result;
  result.graph_ = SessionGraph::Complete(size);
  for (size_t member = 0; member < size; ++member) {
    SKERRY_RETURN_IF_ERROR(result.Verify(member, crypto));
  }
  return result;
}

absl::StatusOr<SessionRoster> SessionRoster::WithRing(const proto::RingNonces& ring,
                                                      std::span<const NodeId> own,
                                                      const SecAggCrypto& crypto) const {
  SKERRY_ASSERT(needs_ring());
  if (ring.nonces().size() != size() * protocol::kRingNonceBytes) {
    return absl::InvalidArgumentError(fmt::format("the ring is drawn from {} bytes instead of {}",
                                                  ring.nonces().size(),
                                                  size() * protocol::kRingNonceBytes));
  }
  const std::string_view nonces = ring.nonces();
  for (size_t member = 0; member < size(); ++member) {
    const std::string_view nonce =
        nonces.substr(member * protocol::kRingNonceBytes, protocol::kRingNonceBytes);
    if (RingCommitment(nonce) != members_[member].ring_commitment) {
      return absl::InvalidArgumentError(fmt::format(
          "the nonce of {} is not the one it has committed to", members_[member].node.value()));
    }
  }
  SessionRoster result = *this;
  result.session_id_ = Transcript("skerry-secagg-ring-v1")
                           .Append("cohort", cohort_id_)
                           .Append("nonces", nonces)
                           .Digest();
  result.graph_ =
      SessionGraph::Ring(RingOrder(result.session_id_, size()), static_cast<size_t>(shape_.degree));
  for (const NodeId& node : own) {
    const std::optional<size_t> self = Find(node);
    if (!self) continue;
    for (const size_t partner : result.graph_.HoldersOf(*self)) {
      SKERRY_RETURN_IF_ERROR(result.Verify(partner, crypto));
    }
  }
  return result;
}

absl::Status SessionRoster::Verify(size_t member, const SecAggCrypto& crypto) {
  if (is_verified_[member]) return absl::OkStatus();
  const proto::KeyAdvert& advert = adverts_->adverts(static_cast<int>(member));
  if (!crypto.Verify(members_[member].identity, AdvertTranscript(params_, advert).bytes(),
                     Bytes(advert.signature()))) {
    return absl::UnauthenticatedError(
        fmt::format("the keys of {} are not signed by it for this model, job, round and attempt",
                    members_[member].node.value()));
  }
  is_verified_[member] = true;
  return absl::OkStatus();
}

bool SessionRoster::CanOpen(const MemberSet& members, const MemberSet& helpers) const {
  SKERRY_ASSERT(!needs_ring());
  if (shape_.is_complete) return helpers.size() >= threshold();
  for (const size_t member : members.members()) {
    const std::span<const size_t> holders = graph_.HoldersOf(member);
    const auto helping = static_cast<size_t>(std::count_if(
        holders.begin(), holders.end(), [&](size_t holder) { return helpers.Contains(holder); }));
    if (helping < threshold()) return false;
  }
  return true;
}

std::optional<size_t> SessionRoster::Find(const NodeId& node) const {
  const auto it = std::lower_bound(
      members_.begin(), members_.end(), node,
      [](const SessionMember& member, const NodeId& id) { return member.node < id; });
  if (it == members_.end() || it->node != node) return std::nullopt;
  return static_cast<size_t>(it - members_.begin());
}

ShareSealing SealingFor(const SessionRoster& roster, const SecretBytes& agreed, size_t from,
                        size_t to) {
  Transcript info("skerry-secagg-share-v1");
  info.Append("session", roster.session_id())
      .Append("from", roster.members()[from].node.value())
      .Append("to", roster.members()[to].node.value());
  return {Derive(roster, agreed, info, kSealKeyBytes), info};
}

MaskKey PairMask(const SessionRoster& roster, const SecretBytes& agreed, size_t member,
                 size_t other) {
  Transcript info("skerry-secagg-mask-v1");
  info.Append("first", roster.members()[std::min(member, other)].node.value())
      .Append("second", roster.members()[std::max(member, other)].node.value());
  return {.key = Derive(roster, agreed, info, KeyStream::kKeyBytes),
          .is_subtracted = member < other};
}

MaskKey SelfMask(const SessionRoster& roster, const SecretBytes& seed, size_t member) {
  Transcript info("skerry-secagg-self-v1");
  info.Append("node", roster.members()[member].node.value());
  return {.key = Derive(roster, seed, info, KeyStream::kKeyBytes), .is_subtracted = false};
}

Transcript SurvivorTranscript(const SessionRoster& roster, const MemberSet& survivors) {
  Transcript transcript("skerry-secagg-survivors-v1");
  transcript.Append("session", roster.session_id()).Append("survivors", survivors.bitmap());
  return transcript;
}

}  // namespace skerry
