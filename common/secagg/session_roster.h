// What a secure aggregation session is about and who takes part: computed by every party from what
// it knows itself, never taken from a message. Signatures and keys are bound to it, so whoever was
// shown another model, other parameters or other members shares no key with the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/config/secagg_rules.h"
#include "common/crypto/sha256.h"
#include "common/crypto/transcript.h"
#include "common/secagg/mask.h"
#include "common/secagg/member_set.h"
#include "common/secagg/secagg_crypto.h"
#include "common/secagg/session_graph.h"
#include "skerry.pb.h"

namespace skerry {

struct SessionParams {
  RunId run;
  RoundId round;
  AttemptId attempt;
  Sha256Digest model_sha256{};  // of the model that is trained from
  Sha256Digest job_sha256{};    // of the resolved job's text
  uint64_t vector_length = 0;   // coordinates of an update
  uint32_t scale_bits = 0;
  int64_t colluders = 0;
  int64_t dropout_tolerance = 0;
  int64_t min_survivors = 1;
  // Of the round, if it is adaptive: noise is in proportion to it, so it must be one for all.
  std::optional<double> clip_norm{};
};

// A node's identity key, as this party has pinned it; none for a stranger.
using IdentityOf = std::function<std::optional<Ed25519PublicKey>(const NodeId&)>;

struct SessionMember {
  NodeId node;
  Ed25519PublicKey identity{};
  AgreementPublicKey cipher_key{};
  AgreementPublicKey mask_key{};
  Sha256Digest seed_commitment{};
  Sha256Digest ring_commitment{};
};

// The bytes a node signs with its advert. The advert's own signature is not part of them.
Transcript AdvertTranscript(const SessionParams& params, const proto::KeyAdvert& advert);
// Binds a node to the seed of its own mask before anyone's shares are known.
Sha256Digest SeedCommitment(const SecretBytes& seed);
// Binds a node to its part in drawing the ring before it knows anyone else's.
Sha256Digest RingCommitment(std::string_view nonce);

// The members of a session with their keys. A value; any thread.
//
// A session with a sparse graph is known in two steps, so that nobody can choose its graph: first
// the adverts, in which every member has committed to a nonce; then, when all have these adverts
// and so cannot change them any more, the nonces.
class SessionRoster {
 public:
  // Checks everything that an honest member must: at least kSessionNodesMin members, sorted
  // without repeats, all known, no key used twice; and, unless there will be a ring, all adverts
  // signed for `params`. Fails with kInvalidArgument or kUnauthenticated and the node's name.
  static absl::StatusOr<SessionRoster> Create(const SessionParams& params,
                                              const proto::KeyRoster& roster,
                                              const IdentityOf& identity_of,
                                              const SecAggCrypto& crypto);

  // Whether the graph is not known before all nonces are.
  bool needs_ring() const { return graph_.is_empty(); }
  // This session with its ring. Checks every nonce against its commitment, and the adverts of all
  // partners of `own` members against their signatures. Fails as Create does.
  absl::StatusOr<SessionRoster> WithRing(const proto::RingNonces& ring, std::span<const NodeId> own,
                                         const SecAggCrypto& crypto) const;

  const std::vector<SessionMember>& members() const { return members_; }
  size_t size() const { return members_.size(); }
  std::optional<size_t> Find(const NodeId& node) const;
  // Whether the member's advert was seen to be signed by it.
  bool IsVerified(size_t member) const { return is_verified_[member]; }
  const SessionGraph& graph() const { return graph_; }
  // Shares needed to open a member's secret.
  size_t threshold() const { return static_cast<size_t>(shape_.threshold); }
  // Below so many survivors nothing may be opened.
  size_t survivors_min() const { return static_cast<size_t>(shape_.survivors_min); }
  // Whether `helpers` hold enough shares to open one secret of each of `members`.
  bool CanOpen(const MemberSet& members, const MemberSet& helpers) const;
  // Of the adverts, and of the nonces if there is a ring.
  const Sha256Digest& session_id() const { return session_id_; }
  // Of the adverts alone.
  const Sha256Digest& cohort_id() const { return cohort_id_; }

 private:
  SessionRoster() = default;
  absl::Status Verify(size_t member, const SecAggCrypto& crypto);

  SessionParams params_;
  std::shared_ptr<const proto::KeyRoster> adverts_;
  std::vector<SessionMember> members_;
  std::vector<bool> is_verified_;
  SessionShape shape_;
  SessionGraph graph_;
  Sha256Digest cohort_id_{};
  Sha256Digest session_id_{};
};

// ---- keys of a session -------------------------------------------------------------------------

// AES-256 key and associated data for what `from` seals for `to`, used once.
struct ShareSealing {
  SecretBytes key;
  Transcript associated;
};
ShareSealing SealingFor(const SessionRoster& roster, const SecretBytes& agreed, size_t from,
                        size_t to);

// The mask that `member` shares with `other`: one of the two adds it, the other subtracts it.
MaskKey PairMask(const SessionRoster& roster, const SecretBytes& agreed, size_t member,
                 size_t other);
// The mask that `member` puts on alone; added.
MaskKey SelfMask(const SessionRoster& roster, const SecretBytes& seed, size_t member);

// The bytes a survivor signs.
Transcript SurvivorTranscript(const SessionRoster& roster, const MemberSet& survivors);

}  // namespace skerry
