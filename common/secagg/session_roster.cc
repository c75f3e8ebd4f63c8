#include "common/secagg/session_roster.h"

#include <algorithm>
#include <set>
#include <span>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/config/secagg_rules.h"
#include "common/crypto/hkdf.h"
#include "common/crypto/key_stream.h"
#include "common/crypto/sealed_box.h"

namespace skerry {
namespace {

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
      .AppendU64("scale_bits", params.scale_bits);
  return transcript;
}

SecretBytes Derive(const SessionRoster& roster, const SecretBytes& agreed, const Transcript& info,
                   size_t size) {
  return HkdfSha256(
      {.key_material = agreed.bytes(), .salt = roster.session_id(), .info = info.bytes()}, size);
}

absl::Status CheckMember(const SessionParams& params, const proto::KeyAdvert& advert,
                         const IdentityOf& identity_of, const SecAggCrypto& crypto) {
  const NodeId node(advert.node());
  const std::optional<Ed25519PublicKey> identity = identity_of(node);
  if (!identity) {
    return absl::UnauthenticatedError(
        fmt::format("{} is not in the pinned roster, but its keys were sent", node.value()));
  }
  if (!crypto.Verify(*identity, AdvertTranscript(params, advert).bytes(),
                     Bytes(advert.signature()))) {
    return absl::UnauthenticatedError(
        fmt::format("the keys of {} are not signed by it for this model, job, round and attempt",
                    node.value()));
  }
  return absl::OkStatus();
}

}  // namespace

Transcript AdvertTranscript(const SessionParams& params, const proto::KeyAdvert& advert) {
  Transcript transcript = Begin("skerry-secagg-advert-v1", params);
  transcript.Append("node", advert.node())
      .Append("cipher_key", advert.cipher_key())
      .Append("mask_key", advert.mask_key())
      .Append("seed_commitment", advert.seed_commitment());
  return transcript;
}

Sha256Digest SeedCommitment(const SecretBytes& seed) {
  return Transcript("skerry-secagg-seed-v1").Append("seed", seed.bytes()).Digest();
}

absl::StatusOr<SessionRoster> SessionRoster::Create(const SessionParams& params,
                                                    const proto::KeyRoster& roster,
                                                    const IdentityOf& identity_of,
                                                    const SecAggCrypto& crypto) {
  const auto size = static_cast<size_t>(roster.adverts_size());
  if (static_cast<int64_t>(size) < kSessionNodesMin) {
    return absl::InvalidArgumentError(
        fmt::format("a session needs {} members at least, got {}", kSessionNodesMin, size));
  }
  SessionRoster result;
  std::set<std::string> keys;
  Transcript session = Begin("skerry-secagg-session-v1", params);
  session.AppendU64("members", size);
  for (const proto::KeyAdvert& advert : roster.adverts()) {
    const NodeId node(advert.node());
    if (!result.members_.empty() && node <= result.members_.back().node) {
      return absl::InvalidArgumentError(fmt::format("the members are not sorted by id: {} after {}",
                                                    node.value(),
                                                    result.members_.back().node.value()));
    }
    SKERRY_RETURN_IF_ERROR(CheckMember(params, advert, identity_of, crypto));
    if (!keys.insert(advert.cipher_key()).second || !keys.insert(advert.mask_key()).second) {
      return absl::InvalidArgumentError(fmt::format("a key of {} is used twice", node.value()));
    }
    result.members_.push_back({.node = node,
                               .identity = *identity_of(node),
                               .cipher_key = ArrayOf<AgreementPublicKey>(advert.cipher_key()),
                               .mask_key = ArrayOf<AgreementPublicKey>(advert.mask_key()),
                               .seed_commitment = ArrayOf<Sha256Digest>(advert.seed_commitment())});
    session.Append("node", node.value())
        .Append("identity", result.members_.back().identity.bytes())
        .Append("cipher_key", advert.cipher_key())
        .Append("mask_key", advert.mask_key())
        .Append("seed_commitment", advert.seed_commitment());
  }
  result.session_id_ = session.Digest();
  result.threshold_ =
      static_cast<size_t>(SessionThreshold(static_cast<int64_t>(size), params.colluders));
  result.survivors_min_ =
      std::max(result.threshold_, static_cast<size_t>(std::max<int64_t>(params.min_survivors, 1)));
  if (result.threshold_ > size) {
    return absl::InvalidArgumentError(
        fmt::format("with {} colluders {} of {} members would be needed to open the sum",
                    params.colluders, result.threshold_, size));
  }
  return result;
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
