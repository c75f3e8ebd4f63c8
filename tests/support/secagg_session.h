// One session of secure aggregation, driven step by step: the honest clients of n nodes and the
// coordinator's half. A test decides who drops out where, or plays the coordinator itself.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/secagg/mask.h"
#include "common/secagg/secagg_client.h"
#include "common/secagg/secagg_server.h"
#include "tests/support/fake_secagg_crypto.h"
#include "tests/support/scripted_random.h"

namespace skerry {

// Who is gone from which step on.
struct Dropouts {
  std::set<size_t> before_keys{};
  std::set<size_t> before_shares{};
  std::set<size_t> before_update{};
  std::set<size_t> before_signing{};
  std::set<size_t> before_unmasking{};
};

class SecAggSession {
 public:
  struct Options {
    size_t nodes = 5;
    size_t dimension = 8;
    int64_t colluders = 0;
    int64_t dropout_tolerance = 0;
    int64_t min_survivors = 1;
    bool is_real = true;  // X25519 and Ed25519
    uint64_t seed = 1;
    uint64_t round = 1;
    uint32_t attempt = 1;
    int64_t members_min = 0;  // the sites' policies
    int64_t survivors_min = 0;
  };

  explicit SecAggSession(Options options)
      : options_(options), random_(options.seed), rng_(options.seed) {
    for (size_t i = 0; i < options_.nodes; ++i) {
      SeededRandom identity(1000 + i);  // the same in every session of a test
      keys_.push_back(std::make_unique<Ed25519SecretKey>(Ed25519SecretKey::Generate(identity)));
      inputs_.emplace_back(options_.dimension);
      for (RingElement& word : inputs_.back()) word = static_cast<RingElement>(rng_.NextU64());
    }
    server_ = std::make_unique<SecAggServer>(ServerOptions());
  }

  static NodeId Name(size_t i) { return NodeId(fmt::format("n-{:04}", i)); }
  const SecAggCrypto& crypto() const {
    return options_.is_real ? StandardSecAggCrypto() : static_cast<const SecAggCrypto&>(fake_);
  }
  IdentityOf identities() const {
    return [this](const NodeId& node) -> std::optional<Ed25519PublicKey> {
      for (size_t i = 0; i < options_.nodes; ++i) {
        if (Name(i) == node) return KeyOf(i);
      }
      return std::nullopt;
    };
  }
  SessionParams Params() const {
    return {.run = RunId(std::string(32, 'a')),
            .round = RoundId(options_.round),
            .attempt = AttemptId(options_.attempt),
            .model_sha256 = Sha256Of("the model"),
            .job_sha256 = Sha256Of("the job"),
            .vector_length = options_.dimension,
            .scale_bits = 20,
            .colluders = options_.colluders,
            .dropout_tolerance = options_.dropout_tolerance,
            .min_survivors = options_.min_survivors};
  }
  SecAggServer::Options ServerOptions() const {
    return {.params = Params(), .identity_of = identities(), .crypto = &crypto()};
  }

  // ---- steps ------------------------------------------------------------------------------------

  void MakeClient(size_t i) { MakeClient(i, Params()); }
  void MakeClient(size_t i, SessionParams params) {
    clients_[i] = std::make_unique<SecAggClient>(SecAggClient::Options{
        .params = std::move(params),
        .node = Name(i),
        .sign = [this, i](std::span<const uint8_t> message) { return Sign(i, message); },
        .crypto = &crypto(),
        .random = &random_,
        .members_min = options_.members_min,
        .survivors_min = options_.survivors_min});
  }
  void Advertise(const std::set<size_t>& gone = {}) {
    for (size_t i = 0; i < options_.nodes; ++i) {
      if (gone.contains(i)) continue;
      MakeClient(i);
      SKERRY_ASSERT(server().TakeAdvert(client(i).advert()) == proto::REJECT_REASON_UNSPECIFIED);
    }
  }
  absl::Status CloseKeys() { return server().CloseKeys(); }
  absl::StatusOr<std::shared_ptr<const SessionRoster>> Check(const proto::KeyRoster& roster) const {
    SKERRY_ASSIGN_OR_RETURN(SessionRoster checked,
                            SessionRoster::Create(Params(), roster, identities(), crypto()));
    return std::make_shared<const SessionRoster>(std::move(checked));
  }
  // Everyone shows its nonce, if the graph is sparse.
  absl::Status Reveal(const std::set<size_t>& gone = {}) {
    if (server().stage() != SecAggServer::Stage::kRing) return absl::OkStatus();
    SKERRY_ASSIGN_OR_RETURN(const auto roster, Check(server().key_roster()));
    for (auto& [i, client] : clients_) {
      if (gone.contains(i)) continue;
      SKERRY_ASSIGN_OR_RETURN(const proto::RingReveal reveal, client->RevealNonce(*roster));
      SKERRY_ASSERT(server().TakeReveal(reveal) == proto::REJECT_REASON_UNSPECIFIED);
    }
    if (server().reveal_count() < server().roster().size()) {
      return absl::FailedPreconditionError("a nonce is missing");
    }
    server().CloseRing();
    return absl::OkStatus();
  }
  // The roster as the nodes see it that share one process.
  absl::StatusOr<std::shared_ptr<const SessionRoster>> CheckedRoster() const {
    SKERRY_ASSIGN_OR_RETURN(auto roster, Check(server_->key_roster()));
    if (!server_->has_ring()) return roster;
    std::vector<NodeId> own;
    for (const auto& [i, client] : clients_) own.push_back(Name(i));
    SKERRY_ASSIGN_OR_RETURN(SessionRoster ringed,
                            roster->WithRing(server_->ring_nonces(), own, crypto()));
    return std::make_shared<const SessionRoster>(std::move(ringed));
  }
  void Share(const std::set<size_t>& gone = {}) {
    const auto roster = CheckedRoster();
    SKERRY_ASSERT(roster.ok());
    for (auto& [i, client] : clients_) {
      if (gone.contains(i)) continue;
      const auto shares = client->TakeRoster(*roster);
      SKERRY_ASSERT(shares.ok());
      SKERRY_ASSERT(server().TakeShares(*shares) == proto::REJECT_REASON_UNSPECIFIED);
    }
    server().CloseShares();
  }
  absl::Status Deliver(size_t i) {
    const std::vector<NodeId> names = {Name(i)};
    const proto::ShareDelivery delivery = server().DeliveryFor(names);
    const auto members = MemberSet::Parse(delivery.members(), server().roster().size());
    return client(i).TakeShares(*members, delivery.nodes(0).sealed());
  }
  // Its masked update.
  std::vector<RingElement> Upload(size_t i) {
    std::vector<RingElement> masked = inputs_[i];
    const std::vector<MaskKey> masks = client(i).TakeMasks();
    ApplyMasks(masked, masks);
    return masked;
  }
  void UploadAll(const std::set<size_t>& gone) {
    sum_.assign(options_.dimension, 0);
    std::vector<NodeId> survivors;
    for (const auto& [i, client] : clients_) {
      if (gone.contains(i)) continue;
      SKERRY_ASSERT(Deliver(i).ok());
      AddInto(sum_, Upload(i));
      survivors_.insert(i);
      survivors.push_back(Name(i));
    }
    server().CloseUpdates(survivors);
  }
  MemberSet SurvivorsOf(const std::set<size_t>& nodes) const {
    MemberSet set(server_->roster().size());
    for (const size_t i : nodes) set.Insert(*server_->roster().Find(Name(i)));
    return set;
  }
  void SignAll(const std::set<size_t>& gone = {}) {
    for (const size_t i : survivors_) {
      if (gone.contains(i)) continue;
      const auto signature = client(i).SignSurvivors(SurvivorsOf(survivors_));
      SKERRY_ASSERT(signature.ok());
      SKERRY_ASSERT(server().TakeSignature(*signature) == proto::REJECT_REASON_UNSPECIFIED);
    }
  }
  void UnmaskAll(const std::set<size_t>& gone = {}) {
    for (const size_t i : survivors_) {
      if (gone.contains(i)) continue;
      const auto shares = client(i).Unmask(server().unmask_request());
      SKERRY_ASSERT(shares.ok());
      SKERRY_ASSERT(server().TakeUnmaskShares(*shares) == proto::REJECT_REASON_UNSPECIFIED);
    }
  }
  absl::StatusOr<std::vector<RingElement>> Open() const {
    SKERRY_ASSIGN_OR_RETURN(const std::vector<MaskKey> masks,
                            RecoverMasks(server_->RecoveryInput()));
    std::vector<RingElement> opened = sum_;
    ApplyMasks(opened, masks);
    return opened;
  }

  void RunToShares(const std::set<size_t>& gone = {}) {
    Advertise();
    SKERRY_ASSERT(CloseKeys().ok());
    SKERRY_ASSERT(Reveal().ok());
    Share(gone);
  }
  // Up to uploads that are all in, nobody missing.
  void RunToUploads(const std::set<size_t>& gone = {}) {
    RunToShares();
    UploadAll(gone);
  }
  // The whole session. Fails where it would stop for want of nodes.
  absl::StatusOr<std::vector<RingElement>> Run(const Dropouts& dropouts) {
    Advertise(dropouts.before_keys);
    SKERRY_RETURN_IF_ERROR(CloseKeys());
    SKERRY_RETURN_IF_ERROR(Reveal());
    std::set<size_t> gone = dropouts.before_keys;
    const auto lose = [&](const std::set<size_t>& more) { gone.insert(more.begin(), more.end()); };
    const auto left = [&] { return options_.nodes - gone.size(); };
    const auto can_open = [&] {
      std::vector<NodeId> nodes;
      for (const size_t i : survivors_) {
        if (!gone.contains(i)) nodes.push_back(Name(i));
      }
      return server().CanOpenWith(nodes);
    };
    const auto too_few = [&](std::string_view step) {
      return absl::FailedPreconditionError(fmt::format("{} left before {}", left(), step));
    };
    lose(dropouts.before_shares);
    if (left() < server().roster().survivors_min()) return too_few("shares");
    Share(gone);
    lose(dropouts.before_update);
    if (left() < server().roster().survivors_min()) return too_few("updates");
    UploadAll(gone);
    lose(dropouts.before_signing);
    if (!can_open()) return too_few("signing");
    SignAll(gone);
    server().CloseSignatures();
    lose(dropouts.before_unmasking);
    if (!can_open()) return too_few("unmasking");
    UnmaskAll(gone);
    return Open();
  }

  // The plain sum of the survivors' inputs.
  std::vector<RingElement> Expected() const {
    std::vector<RingElement> sum(options_.dimension);
    for (const size_t i : survivors_) AddInto(sum, inputs_[i]);
    return sum;
  }

  SecAggServer& server() { return *server_; }
  SecAggClient& client(size_t i) { return *clients_.at(i); }
  const std::vector<RingElement>& input(size_t i) const { return inputs_[i]; }
  const std::set<size_t>& survivors() const { return survivors_; }
  Ed25519Signature Sign(size_t i, std::span<const uint8_t> message) const {
    return options_.is_real ? keys_[i]->Sign(message) : FakeSecAggCrypto::Sign(KeyOf(i), message);
  }

 private:
  Ed25519PublicKey KeyOf(size_t i) const {
    return options_.is_real ? keys_[i]->public_key() : FakeSecAggCrypto::KeyOf(Name(i).value());
  }

  Options options_;
  FakeSecAggCrypto fake_;
  SeededRandom random_;
  Rng rng_;
  std::vector<std::unique_ptr<Ed25519SecretKey>> keys_;
  std::vector<std::vector<RingElement>> inputs_;
  std::unique_ptr<SecAggServer> server_;
  std::map<size_t, std::unique_ptr<SecAggClient>> clients_;
  std::set<size_t> survivors_;
  std::vector<RingElement> sum_;
};

}  // namespace skerry
