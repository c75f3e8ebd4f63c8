// What one honest node refuses, and what its secrets are bound to.
#include "common/secagg/secagg_client.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/secagg/mask_recovery.h"
#include "tests/support/secagg_session.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

// What `session` would deliver to node `to`.
struct Delivery {
  MemberSet members;
  std::string sealed;
};

Delivery DeliveryTo(SecAggSession& session, size_t to) {
  const std::vector<NodeId> names = {SecAggSession::Name(to)};
  const proto::ShareDelivery delivery = session.server().DeliveryFor(names);
  auto members = MemberSet::Parse(delivery.members(), session.server().roster().size());
  SKERRY_ASSERT(members.ok());
  return {*std::move(members), delivery.nodes(0).sealed()};
}

proto::SurvivorProof ProofOf(SecAggSession& session, size_t node, const MemberSet& survivors) {
  const Ed25519Signature signature =
      session.Sign(node, SurvivorTranscript(session.server().roster(), survivors).bytes());
  proto::SurvivorProof proof;
  proof.set_member(static_cast<uint32_t>(node));
  proof.set_signature(std::string(signature.begin(), signature.end()));
  return proof;
}

// ---- the list of members

TEST(SecAggClientTest, ListWithOlderKeysOfThisNodeIsRefused) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  ASSERT_OK_AND_ASSIGN(const auto roster, session.Check(session.server().key_roster()));
  session.MakeClient(2);  // restarted since

  EXPECT_THAT(session.client(2).TakeRoster(roster),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("other keys for this node")));
  EXPECT_TRUE(session.client(2).is_aborted());
}

TEST(SecAggClientTest, ListWithoutThisNodeIsRefused) {
  SecAggSession session({.nodes = 5});
  session.Advertise({4});
  session.MakeClient(4);
  ASSERT_OK(session.CloseKeys());
  ASSERT_OK_AND_ASSIGN(const auto roster, session.Check(session.server().key_roster()));

  EXPECT_THAT(session.client(4).TakeRoster(roster),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("do not include this node")));
}

TEST(SecAggClientTest, SameListGetsTheSameSharesAndAnotherEndsTheSession) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  ASSERT_OK_AND_ASSIGN(const auto roster, session.Check(session.server().key_roster()));
  ASSERT_OK_AND_ASSIGN(const proto::KeyShares first, session.client(0).TakeRoster(roster));
  ASSERT_OK_AND_ASSIGN(const auto copy, session.Check(session.server().key_roster()));
  ASSERT_OK_AND_ASSIGN(const proto::KeyShares second, session.client(0).TakeRoster(copy));
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());

  proto::KeyRoster fewer = session.server().key_roster();
  fewer.mutable_adverts()->RemoveLast();
  ASSERT_OK_AND_ASSIGN(const auto other, session.Check(fewer));

  EXPECT_FALSE(session.client(0).TakeRoster(other).ok());
  EXPECT_TRUE(session.client(0).is_aborted());
  EXPECT_FALSE(session.client(0).TakeRoster(roster).ok());
}

// ---- the shares

// Each byte of what node 1 gets, with one bit of it flipped.
TEST(SecAggClientTest, DamageAnywhereInADeliveryIsNoticed) {
  for (size_t at = 0; at < size_t{3} * 96; ++at) {
    SecAggSession session({.nodes = 4, .is_real = false});
    session.RunToShares();
    Delivery delivery = DeliveryTo(session, 1);
    ASSERT_EQ(delivery.sealed.size(), size_t{3} * 96);
    delivery.sealed[at] = static_cast<char>(delivery.sealed[at] ^ (1 << at % 8));

    ASSERT_THAT(session.client(1).TakeShares(delivery.members, delivery.sealed),
                StatusIs(absl::StatusCode::kUnauthenticated))
        << at;
    ASSERT_TRUE(session.client(1).is_aborted());
  }
}

// The same randomness in both sessions, so every key is the same, and only what the session is
// about differs.
TEST(SecAggClientTest, SharesOfAnotherAttemptUnderTheSameKeysAreRefused) {
  SecAggSession old({.nodes = 4, .seed = 3, .attempt = 1});
  SecAggSession session({.nodes = 4, .seed = 3, .attempt = 2});
  old.RunToShares();
  session.RunToShares();
  ASSERT_EQ(old.client(1).advert().cipher_key(), session.client(1).advert().cipher_key());
  const Delivery replay = DeliveryTo(old, 1);

  EXPECT_THAT(session.client(1).TakeShares(replay.members, replay.sealed),
              StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(SecAggClientTest, SharesInAnotherOrderAreRefused) {
  SecAggSession session({.nodes = 4});
  session.RunToShares();
  Delivery delivery = DeliveryTo(session, 0);
  std::rotate(delivery.sealed.begin(), delivery.sealed.begin() + 96, delivery.sealed.end());

  EXPECT_THAT(session.client(0).TakeShares(delivery.members, delivery.sealed),
              StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(SecAggClientTest, DeliveriesThatDoNotAddUpAreRefused) {
  const auto refused = [](const std::function<void(Delivery&)>& spoil) {
    SecAggSession session({.nodes = 5, .colluders = 1});  // t = 4
    session.Advertise();
    SKERRY_ASSERT(session.CloseKeys().ok());
    session.Share({4});
    Delivery delivery = DeliveryTo(session, 0);
    spoil(delivery);
    const absl::Status taken = session.client(0).TakeShares(delivery.members, delivery.sealed);
    return !taken.ok() && session.client(0).is_aborted() && !session.client(0).has_masks();
  };

  EXPECT_FALSE(refused([](Delivery&) {}));
  EXPECT_TRUE(refused([](Delivery& delivery) { delivery.sealed.pop_back(); }));
  EXPECT_TRUE(refused([](Delivery& delivery) { delivery.sealed.append(96, '\0'); }));
  EXPECT_TRUE(refused([](Delivery& delivery) { delivery.members.Insert(4); }));  // gave no shares
  EXPECT_TRUE(refused([](Delivery& delivery) {  // without this node
    delivery.members = *MemberSet::Parse("\x1e", 5);
  }));
  EXPECT_TRUE(refused([](Delivery& delivery) {  // three of the four that it takes
    delivery.members = *MemberSet::Parse("\x07", 5);
    delivery.sealed.resize(size_t{2} * 96);
  }));
  EXPECT_TRUE(refused([](Delivery& delivery) {  // of another session
    MemberSet more(6);
    for (const size_t member : delivery.members.members()) more.Insert(member);
    delivery.members = more;
  }));
}

TEST(SecAggClientTest, FewerMembersThanTheJobsMinimumGetNoMasks) {
  SecAggSession session({.nodes = 6, .colluders = 0, .min_survivors = 6});  // t = 4
  session.RunToShares({5});
  const Delivery delivery = DeliveryTo(session, 0);

  EXPECT_THAT(session.client(0).TakeShares(delivery.members, delivery.sealed),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("5 members gave shares")));
}

TEST(SecAggClientTest, SameDeliveryIsTakenAgainAndAnotherEndsTheSession) {
  SecAggSession session({.nodes = 5});
  session.RunToShares();
  const Delivery delivery = DeliveryTo(session, 0);
  ASSERT_OK(session.client(0).TakeShares(delivery.members, delivery.sealed));
  EXPECT_OK(session.client(0).TakeShares(delivery.members, delivery.sealed));
  EXPECT_TRUE(session.client(0).has_masks());
  MemberSet fewer(5);
  for (const size_t member : {0u, 1u, 2u, 3u}) fewer.Insert(member);

  EXPECT_FALSE(session.client(0).TakeShares(fewer, delivery.sealed.substr(0, size_t{3} * 96)).ok());
  EXPECT_TRUE(session.client(0).is_aborted());
  EXPECT_FALSE(session.client(0).has_masks());  // they went before they were used
}

// ---- the survivors

TEST(SecAggClientTest, SurvivorsThatDoNotAddUpAreNotSigned) {
  const auto refused = [](const std::set<size_t>& survivors) {
    SecAggSession session({.nodes = 7, .colluders = 0, .min_survivors = 5});  // t = 4
    session.Advertise();
    SKERRY_ASSERT(session.CloseKeys().ok());
    session.Share({6});
    SKERRY_ASSERT(session.Deliver(0).ok());
    session.Upload(0);
    const auto signature = session.client(0).SignSurvivors(session.SurvivorsOf(survivors));
    return !signature.ok() && session.client(0).is_aborted();
  };

  EXPECT_FALSE(refused({0, 1, 2, 3, 4}));
  EXPECT_TRUE(refused({0, 1, 2, 3}));     // one fewer than the job asks for
  EXPECT_TRUE(refused({0, 1, 2, 3, 6}));  // 6 gave no shares
  EXPECT_TRUE(refused({1, 2, 3, 4, 5}));  // without this node
  EXPECT_TRUE(refused({}));
}

TEST(SecAggClientTest, SetOfAnotherSessionsSizeIsNotSigned) {
  SecAggSession session({.nodes = 5});
  session.RunToUploads();
  MemberSet longer(6);
  for (size_t i = 0; i < 5; ++i) longer.Insert(i);

  EXPECT_FALSE(session.client(0).SignSurvivors(longer).ok());
}

// For every way to name one set to some of the honest nodes and another to the rest, with the
// conspirators signing both: at most one of the two opens. n = 7, two conspire, t = 5.
TEST(SecAggClientTest, ConspiratorsWhoSignTwoSetsOpenOneAtMost) {
  constexpr size_t kHonest = 5;
  size_t opened = 0;
  for (size_t split = 0; split < size_t{1} << kHonest; ++split) {
    SecAggSession session({.nodes = 7, .colluders = 2, .is_real = false, .seed = split});
    session.RunToUploads();
    ASSERT_EQ(session.server().roster().threshold(), 5u);
    const std::array<MemberSet, 2> sets = {session.SurvivorsOf({0, 1, 2, 3, 4, 5, 6}),
                                           session.SurvivorsOf({0, 1, 2, 3, 4, 5})};
    std::array<proto::UnmaskRequest, 2> requests;
    std::array<std::vector<size_t>, 2> shown;
    for (size_t node = 0; node < kHonest; ++node) {
      const size_t which = split >> node & 1;
      ASSERT_OK(session.client(node).SignSurvivors(sets[which]));
      shown[which].push_back(node);
      *requests[which].add_proofs() = ProofOf(session, node, sets[which]);
    }
    std::array<bool, 2> is_open{};
    for (size_t which = 0; which < 2; ++which) {
      requests[which].set_round(1);
      requests[which].set_attempt(1);
      requests[which].set_survivors(sets[which].bitmap());
      *requests[which].add_proofs() = ProofOf(session, 5, sets[which]);
      if (which == 0) *requests[which].add_proofs() = ProofOf(session, 6, sets[which]);
      for (const size_t node : shown[which]) {
        is_open[which] = is_open[which] || session.client(node).Unmask(requests[which]).ok();
      }
    }
    ASSERT_FALSE(is_open[0] && is_open[1]) << split;
    if (is_open[0] || is_open[1]) ++opened;
  }
  // The first set with three of the five or more, or the second with four or more.
  EXPECT_EQ(opened, 16u + 6u);
}

// ---- the shares that open the sum

TEST(SecAggClientTest, RequestForOtherNodesOfTheProcessIsTheSameRequest) {
  SecAggSession session({.nodes = 5});
  session.RunToUploads();
  session.SignAll();
  session.server().CloseSignatures();
  proto::UnmaskRequest request = session.server().unmask_request();
  request.add_nodes("n-0000");
  ASSERT_OK_AND_ASSIGN(const proto::UnmaskShares first, session.client(0).Unmask(request));
  request.add_nodes("n-0001");

  ASSERT_OK_AND_ASSIGN(const proto::UnmaskShares second, session.client(0).Unmask(request));

  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
}

// One secret share of each member goes out, of the kind that its fate asks for: the seed's of a
// survivor and the mask key's of a dropped one. The fake's public key is a hash of the secret, so
// what the shares combine to can be told apart.
TEST(SecAggClientTest, OneShareOfEachMemberIsGiven) {
  SecAggSession session({.nodes = 6, .is_real = false});
  session.RunToUploads({5});
  session.SignAll();
  session.server().CloseSignatures();
  for (size_t i = 0; i < 5; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto answer,
                         session.client(i).Unmask(session.server().unmask_request()));
    ASSERT_EQ(answer.shares().size(), 6 * kShareBytes);
    ASSERT_EQ(session.server().TakeUnmaskShares(answer), proto::REJECT_REASON_UNSPECIFIED);
  }
  const MaskRecoveryInput input = session.server().RecoveryInput();
  for (size_t member = 0; member < 6; ++member) {
    std::vector<uint32_t> xs;
    std::vector<ShamirShare> shares;
    for (const UnmaskAnswer& answer : input.answers) {
      xs.push_back(static_cast<uint32_t>(answer.member + 1));
      const auto* bytes =
          reinterpret_cast<const uint8_t*>(answer.shares.data() + member * kShareBytes);
      ASSERT_OK_AND_ASSIGN(const ShamirShare share, ReadShare({bytes, kShareBytes}));
      shares.push_back(share);
    }
    ASSERT_OK_AND_ASSIGN(const SecretBytes secret, ShamirRecovery(xs).Recover(shares));

    const SessionMember& keys = session.server().roster().members()[member];
    EXPECT_EQ(SeedCommitment(secret) == keys.seed_commitment, member < 5) << member;
    EXPECT_EQ(session.crypto().PublicKeyOf(secret) == keys.mask_key, member == 5) << member;
  }
}

// From each step on which a session can be ended: whatever is asked afterwards, even what was
// answered before, gets nothing.
TEST(SecAggClientTest, AfterTheEndEveryCallFails) {
  for (int steps = 0; steps < 4; ++steps) {
    SecAggSession session({.nodes = 5});
    session.RunToShares();
    ASSERT_OK_AND_ASSIGN(const auto roster, session.Check(session.server().key_roster()));
    const Delivery delivery = DeliveryTo(session, 0);
    SecAggClient& client = session.client(0);
    if (steps == 0) {
      EXPECT_FALSE(client.SignSurvivors(session.SurvivorsOf({0, 1, 2})).ok());
    } else {
      session.UploadAll({});
    }
    const MemberSet all = session.SurvivorsOf({0, 1, 2, 3, 4});
    proto::UnmaskRequest request;
    request.set_round(1);
    request.set_attempt(1);
    request.set_survivors(all.bitmap());
    for (size_t i = 0; i < 5; ++i) *request.add_proofs() = ProofOf(session, i, all);
    if (steps == 1) {
      EXPECT_FALSE(client.Unmask(request).ok());
    }
    if (steps >= 2) {
      ASSERT_OK(client.SignSurvivors(all));
    }
    if (steps == 2) {
      EXPECT_FALSE(client.SignSurvivors(session.SurvivorsOf({0, 1, 2, 3})).ok());
    }
    if (steps == 3) {
      ASSERT_OK(client.Unmask(request));
      EXPECT_FALSE(client.SignSurvivors(session.SurvivorsOf({0, 1, 2, 3})).ok());
    }

    ASSERT_TRUE(client.is_aborted()) << steps;
    EXPECT_THAT(client.TakeRoster(roster),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("was ended")));
    EXPECT_THAT(client.TakeShares(delivery.members, delivery.sealed),
                StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(client.SignSurvivors(all), StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(client.Unmask(request), StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_FALSE(client.has_masks());
  }
}

}  // namespace
}  // namespace skerry
