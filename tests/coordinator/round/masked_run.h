// A round with secure aggregation: the machine, and the honest clients of its nodes. A test decides
// who answers what and when.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/secagg/secagg_client.h"
#include "tests/coordinator/round/round_driver.h"
#include "tests/support/fake_secagg_crypto.h"
#include "tests/support/scripted_random.h"

namespace skerry {

inline const FakeSecAggCrypto kCrypto;

inline std::optional<Ed25519PublicKey> IdentityOfNode(const NodeId& node) {
  return FakeSecAggCrypto::KeyOf(node.value());
}

// One colluder, quorum 2, one may drop out. Of six nodes 4 open the sum (and 3 that of 5).
inline RoundPolicy MaskedPolicy(int nodes) {
  RoundPolicy policy = SmallPolicy();
  policy.round.nodes = nodes;
  SecAggConfig config{.enabled = true, .colluders = 1, .dropout_tolerance = 1};
  policy.secagg =
      std::make_shared<const SecAggPolicy>(SecAggPolicy{.run = RunId(std::string(32, 'a')),
                                                        .job_sha256 = Sha256Of("the job"),
                                                        .config = config,
                                                        .identity_of = IdentityOfNode,
                                                        .crypto = &kCrypto});
  return policy;
}

// A machine and the honest clients of its nodes.
class MaskedRun {
 public:
  explicit MaskedRun(RestoredRun restored = FreshRun(), int nodes = 6)
      : MaskedRun(std::move(restored), MaskedPolicy(nodes)) {}
  MaskedRun(RestoredRun restored, const RoundPolicy& policy)
      : driver(policy, RosterOf(static_cast<int>(policy.round.nodes)), std::move(restored)) {}

  void StartWith(std::vector<int> nodes) {
    driver.Start();
    for (const int i : nodes) driver.Join(i);
  }

  SessionParams Params(uint32_t attempt) const {
    return {.run = RunId(std::string(32, 'a')),
            .round = RoundId(driver.round()),
            .attempt = AttemptId(attempt),
            .model_sha256 = {},
            .job_sha256 = Sha256Of("the job"),
            .vector_length = 101,
            .scale_bits = 20,
            .colluders = 1,
            .dropout_tolerance = 1,
            .min_survivors = 1};
  }

  Outbox Advertise(int i, uint32_t attempt = 1) {
    const NodeId node = Node(i);
    clients[i] = std::make_unique<SecAggClient>(SecAggClient::Options{
        .params = Params(attempt),
        .node = node,
        .sign =
            [node](std::span<const uint8_t> message) {
              return FakeSecAggCrypto::Sign(FakeSecAggCrypto::KeyOf(node.value()), message);
            },
        .crypto = &kCrypto,
        .random = &random});
    proto::Envelope message;
    *message.mutable_key_advert() = clients[i]->advert();
    return driver.Say(Peer(i), message);
  }

  // The node that is sent a list of members shows its nonce for the ring.
  Outbox Reveal(const OutgoingMessage& roster) {
    SecAggClient& client = *clients.at(static_cast<int>(roster.peer.value()));
    const auto checked = SessionRoster::Create(
        Params(client.advert().attempt()), roster.envelope.key_roster(), IdentityOfNode, kCrypto);
    EXPECT_OK(checked.status());
    const auto reveal = client.RevealNonce(*checked);
    EXPECT_OK(reveal.status());
    proto::Envelope answer;
    *answer.mutable_ring_reveal() = *reveal;
    return driver.Say(roster.peer, answer);
  }

  // Every node that `out` sends the roster to answers with its shares; what came of the last one.
  Outbox ShareFor(const Outbox& out) {
    Outbox last;
    for (const OutgoingMessage& message : out.send) {
      if (!message.envelope.has_key_roster()) continue;
      const int i = static_cast<int>(message.peer.value());
      if (!clients.contains(i)) continue;
      auto roster =
          SessionRoster::Create(clients[i]->advert().attempt() == 1 ? Params(1) : Params(2),
                                message.envelope.key_roster(), IdentityOfNode, kCrypto);
      EXPECT_OK(roster.status());
      auto shares =
          clients[i]->TakeRoster(std::make_shared<const SessionRoster>(*std::move(roster)));
      EXPECT_OK(shares.status());
      proto::Envelope answer;
      *answer.mutable_key_shares() = *shares;
      last = driver.Say(message.peer, answer);
    }
    return last;
  }

  void TakeDelivery(const Outbox& out) {
    for (const OutgoingMessage& message : out.send) {
      if (!message.envelope.has_share_delivery()) continue;
      const proto::ShareDelivery& delivery = message.envelope.share_delivery();
      SecAggClient& client = *clients.at(static_cast<int>(message.peer.value()));
      auto members = MemberSet::Parse(delivery.members(), client.roster()->size());
      EXPECT_OK(client.TakeShares(*members, delivery.nodes(0).sealed()));
      EXPECT_EQ(client.TakeMasks().size(), members->size());
    }
  }

  // Keys, shares and updates of `nodes`; the outbox of the last update.
  Outbox RunUpTo(std::vector<int> nodes, std::vector<int> delivering) {
    StartWith(nodes);
    Outbox out;
    for (const int i : nodes) out = Advertise(i);
    if (!driver.machine.data().secagg->params().round.value()) return out;
    TakeDelivery(ShareFor(out));
    for (const int i : delivering) out = driver.Deliver(i);
    return out;
  }

  Outbox Seal() {
    return driver.Do(SumSealed{.round = RoundId(driver.round()),
                               .attempt = driver.machine.data().attempt,
                               .status = absl::OkStatus()});
  }

  Outbox Sign(const Outbox& asked) {
    Outbox last;
    for (const OutgoingMessage& message : asked.send) {
      if (!message.envelope.has_survivor_set()) continue;
      SecAggClient& client = *clients.at(static_cast<int>(message.peer.value()));
      auto set =
          MemberSet::Parse(message.envelope.survivor_set().survivors(), client.roster()->size());
      auto signature = client.SignSurvivors(*set);
      EXPECT_OK(signature.status());
      proto::Envelope answer;
      *answer.mutable_survivor_signature() = *signature;
      last = driver.Say(message.peer, answer);
    }
    return last;
  }

  Outbox Unmask(const Outbox& asked) {
    Outbox last;
    for (const OutgoingMessage& message : asked.send) {
      if (!message.envelope.has_unmask_request()) continue;
      SecAggClient& client = *clients.at(static_cast<int>(message.peer.value()));
      auto shares = client.Unmask(message.envelope.unmask_request());
      EXPECT_OK(shares.status());
      proto::Envelope answer;
      *answer.mutable_unmask_shares() = *shares;
      last = driver.Say(message.peer, answer);
    }
    return last;
  }

  std::string phase() const { return std::string(driver.machine.phase_name()); }

  SeededRandom random{3};
  std::map<int, std::unique_ptr<SecAggClient>> clients;
  RoundDriver driver;
};

}  // namespace skerry
