// What a secure aggregation session is about and who takes part: computed by every party from what
// it knows itself, never taken from a message. Signatures and keys are bound to it, so whoever was
// shown another model, other parameters or other members shares no key with the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/crypto/sha256.h"
#include "common/crypto/transcript.h"
#include "common/secagg/mask.h"
#include "common/secagg/member_set.h"
#include "common/secagg/secagg_crypto.h"
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
  int64_t min_survivors = 1;
};

// A node's identity key, as this party has pinned it; none for a stranger.
using IdentityOf = std::function<std::optional<Ed25519PublicKey>(const NodeId&)>;

struct SessionMember {
  NodeId node;
  Ed25519PublicKey identity{};
  AgreementPublicKey cipher_key{};
  AgreementPublicKey mask_key{};
  Sha256Digest seed_commitment{};
};

// The bytes a node signs with its advert. The advert's own signature is not part of them.
Transcript AdvertTranscript(const SessionParams& params, const proto::KeyAdvert& advert);
// Binds a node to the seed of its own mask before anyone's shares are known.
Sha256Digest SeedCommitment(const SecretBytes& seed);

// The members of a session with their keys. A value; any thread.
class SessionRoster {
 public:
  // Checks everything that an honest member must: at least kSessionNodesMin members, sorted
  // without repeats, all known, all adverts signed for `params`, no key used twice. Fails with
  // kInvalidArgument or kUnauthenticated and the node's name.
  static absl::StatusOr<SessionRoster> Create(const SessionParams& params,
                                              const proto::KeyRoster& roster,
                                              const IdentityOf& identity_of,
                                              const SecAggCrypto& crypto);

  const std::vector<SessionMember>& members() const { return members_; }
  size_t size() const { return members_.size(); }
  std::optional<size_t> Find(const NodeId& node) const;
  // Shares needed to open anything: 2 t > members + colluders.
  size_t threshold() const { return threshold_; }
  // Below so many survivors nothing may be opened.
  size_t survivors_min() const { return survivors_min_; }
  const Sha256Digest& session_id() const { return session_id_; }

 private:
  SessionRoster() = default;
  std::vector<SessionMember> members_;
  size_t threshold_ = 0;
  size_t survivors_min_ = 0;
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
