// The coordinator's half of secure aggregation in one attempt of one round: collects and hands on
// what the nodes tell each other. It holds no secret until shares open the sum, and the sum is all
// they open.
//
//   keys -> (ring ->) shares -> updates -> signatures -> unmasking
//
// The caller decides when a stage has waited long enough and closes it. What is closed does not
// change any more, is given again byte for byte, and can be stored and restored (state). No I/O.
// One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/secagg/mask_recovery.h"
#include "common/secagg/member_set.h"
#include "common/secagg/secagg_crypto.h"
#include "common/secagg/session_roster.h"
#include "skerry.pb.h"

namespace skerry {

class SecAggServer {
 public:
  struct Options {
    SessionParams params;
    IdentityOf identity_of;
    const SecAggCrypto* crypto = nullptr;  // outlives the server
  };
  enum class Stage { kKeys, kRing, kShares, kUpdates, kSignatures, kUnmasking };

  explicit SecAggServer(Options options) : options_(std::move(options)) {}
  // The session as it was when `state` was taken. Fails if the roster has changed since so that
  // the session's nodes are not in it any more.
  static absl::StatusOr<SecAggServer> Restore(Options options, const proto::SessionState& state);

  Stage stage() const { return stage_; }
  const SessionParams& params() const { return options_.params; }
  // What is closed so far.
  const proto::SessionState& state() const { return state_; }

  // Each Take answers kUnspecified for what was taken or repeated, or why it was not.
  // ---- keys
  proto::RejectReason TakeAdvert(const proto::KeyAdvert& advert);
  bool HasAdvert(const NodeId& node) const { return adverts_.contains(node); }
  const proto::KeyAdvert* FindAdvert(const NodeId& node) const;  // null if there is none
  size_t advert_count() const { return adverts_.size(); }
  void Forget(const NodeId& node);  // before CloseKeys: it will not take part
  // Fails, and nothing changes, if the adverts cannot make a session (a key used twice).
  absl::Status CloseKeys();
  const proto::KeyRoster& key_roster() const { return state_.roster(); }
  const SessionRoster& roster() const { return *roster_; }

  // ---- ring: only where the graph is sparse. A single nonce that is not shown ends the attempt.
  proto::RejectReason TakeReveal(const proto::RingReveal& reveal);
  bool HasReveal(const NodeId& node) const { return nonces_.contains(node); }
  size_t reveal_count() const { return nonces_.size(); }
  // All members have revealed.
  void CloseRing();
  bool has_ring() const { return state_.has_ring(); }
  const proto::RingNonces& ring_nonces() const { return state_.ring(); }

  // ---- shares
  proto::RejectReason TakeShares(const proto::KeyShares& shares);
  bool HasShares(const NodeId& node) const { return shares_.contains(node); }
  size_t share_count() const { return shares_.size(); }
  void CloseShares();
  // From kUpdates on: whether the node's update may be in the sum.
  bool IsMember(const NodeId& node) const;
  // For the nodes of one process; all must be members.
  proto::ShareDelivery DeliveryFor(std::span<const NodeId> nodes) const;

  // ---- survivors
  // `survivors` are members, sorted, and as many as roster().survivors_min() at least.
  void CloseUpdates(std::span<const NodeId> survivors);
  bool IsSurvivor(const NodeId& node) const;
  size_t survivor_count() const { return survivors_.size(); }
  proto::SurvivorSet survivor_set() const;
  proto::RejectReason TakeSignature(const proto::SurvivorSignature& signature);
  bool HasSignature(const NodeId& node) const { return signatures_.contains(IndexOf(node)); }
  size_t signature_count() const { return signatures_.size(); }
  bool HasEnoughSignatures() const;
  void CloseSignatures();
  const proto::UnmaskRequest& unmask_request() const { return state_.unmask_request(); }

  // ---- unmasking
  proto::RejectReason TakeUnmaskShares(const proto::UnmaskShares& shares);
  bool HasUnmaskShares(const NodeId& node) const { return answers_.contains(IndexOf(node)); }
  size_t answer_count() const { return answers_.size(); }
  bool HasEnoughAnswers() const;
  // Whether the sum can be opened if exactly these survivors sign and answer.
  bool CanOpenWith(std::span<const NodeId> nodes) const;
  MaskRecoveryInput RecoveryInput() const;

 private:
  size_t IndexOf(const NodeId& node) const;  // roster_->size() for a stranger
  proto::RejectReason CheckAttempt(uint64_t round, uint32_t attempt) const;
  absl::Status SetRing(const proto::RingNonces& ring);
  bool CanOpenWith(const std::map<size_t, std::string>& answers) const;  // by place in the roster

  Options options_;
  Stage stage_ = Stage::kKeys;
  proto::SessionState state_;
  std::map<NodeId, proto::KeyAdvert> adverts_;
  std::map<NodeId, std::string> nonces_;
  std::shared_ptr<const SessionRoster> roster_;
  std::map<NodeId, proto::KeyShares> shares_;
  MemberSet members_;
  MemberSet survivors_;
  std::map<size_t, std::string> signatures_;  // by place in the roster
  std::map<size_t, std::string> answers_;
};

}  // namespace skerry
