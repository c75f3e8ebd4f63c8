// A node's half of secure aggregation in one attempt of one round: Bonawitz et al., "Practical
// Secure Aggregation for Privacy-Preserving Machine Learning" (CCS 2017), the variant that is
// secure against a malicious server.
//
//   advert() -> (RevealNonce ->) TakeRoster -> TakeShares -> TakeMasks -> SignSurvivors -> Unmask
//
// No I/O. Every step checks what it is given; the first thing that does not add up ends the
// session: all secrets are wiped and every later call fails. A step that is repeated with the same
// input gives the same bytes; with another input it ends the session. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/crypto/random_bits.h"
#include "common/secagg/mask.h"
#include "common/secagg/member_set.h"
#include "common/secagg/secagg_crypto.h"
#include "common/secagg/session_roster.h"
#include "common/secagg/shamir.h"
#include "skerry.pb.h"

namespace skerry {

class SecAggClient {
 public:
  struct Options {
    SessionParams params;
    NodeId node;
    SignFunction sign;
    const SecAggCrypto* crypto = nullptr;  // outlives the client
    RandomBits* random = nullptr;          // outlives the client
    int64_t members_min = 0;               // this site's policy, beyond the job's own limits
    int64_t survivors_min = 0;
  };

  // Draws the session's keys.
  explicit SecAggClient(Options options);
  ~SecAggClient() { Wipe(); }
  SecAggClient(const SecAggClient&) = delete;
  SecAggClient& operator=(const SecAggClient&) = delete;

  // This node's signed keys.
  const proto::KeyAdvert& advert() const { return advert_; }

  // The adverts are fixed, and the session will have a ring: this node's part in drawing it, shown
  // for one list of adverts only. `roster` was checked against this site's own pins for the same
  // params; nodes of one process share it.
  absl::StatusOr<proto::RingReveal> RevealNonce(const SessionRoster& roster);

  // The members and their graph are fixed. `roster` as above, with its ring if it has one. Gives
  // this node's sealed shares.
  absl::StatusOr<proto::KeyShares> TakeRoster(std::shared_ptr<const SessionRoster> roster);

  // The nodes whose shares were delivered, and what they sealed for this one: kSealedShareBytes of
  // each other one, in order.
  absl::Status TakeShares(const MemberSet& members, std::string_view sealed);
  bool has_masks() const { return stage_ == Stage::kMasksReady; }
  bool has_used_masks() const { return stage_ > Stage::kMasksReady; }

  // What to add to the encoded update. Once: the update leaves masked with these or not at all.
  std::vector<MaskKey> TakeMasks();

  // This node's word that exactly these are in the sum, given for one set only.
  absl::StatusOr<proto::SurvivorSignature> SignSurvivors(const MemberSet& survivors);

  // The shares that open the sum of the survivors, for one request only.
  absl::StatusOr<proto::UnmaskShares> Unmask(const proto::UnmaskRequest& request);

  bool is_aborted() const { return stage_ == Stage::kAborted; }
  const std::shared_ptr<const SessionRoster>& roster() const { return roster_; }

 private:
  enum class Stage {
    kAdvertised,
    kRevealed,
    kShared,
    kMasksReady,
    kMasked,
    kSigned,
    kUnmasked,
    kAborted,
  };
  struct Shares {
    ShamirShare mask_key{};
    ShamirShare seed{};
  };
  struct HeldShares {
    size_t member = 0;
    Shares shares;
  };

  absl::Status Abort(absl::Status why);
  absl::Status CheckAlive() const;
  void Wipe();
  absl::Status CheckOwnKeys(const SessionRoster& roster) const;
  absl::StatusOr<proto::KeyShares> SealShares();
  absl::Status OpenShares(const MemberSet& members, std::string_view sealed);
  absl::Status DeriveMasks(const MemberSet& members);
  absl::Status CheckProofs(const proto::UnmaskRequest& request) const;

  Options options_;
  Stage stage_ = Stage::kAdvertised;
  std::string abort_reason_;
  proto::KeyAdvert advert_;

  // Secrets, wiped as soon as they are not needed.
  AgreementSecret cipher_;
  AgreementSecret mask_;
  SecretBytes seed_;                 // of the self mask
  std::string nonce_;                // for the ring
  std::vector<SecretBytes> agreed_;  // by partner: the agreement of the cipher keys
  Shares own_shares_;                // this node's own, of its own secrets
  std::vector<HeldShares> held_;     // ascending, of members_ only
  std::vector<MaskKey> masks_;

  std::optional<Sha256Digest> revealed_for_;
  std::shared_ptr<const SessionRoster> roster_;
  size_t self_ = 0;               // place in the roster
  std::vector<size_t> partners_;  // theirs, ascending
  proto::KeyShares sealed_shares_;
  MemberSet members_;
  std::string delivered_;  // SHA-256 of what was delivered
  MemberSet survivors_;
  proto::SurvivorSignature survivor_signature_;
  std::string answered_request_;
  proto::UnmaskShares unmask_shares_;
};

}  // namespace skerry
