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

void RunToShares(SecAggSession& session, const std::set<size_t>& gone = {}) {
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  session.Share(gone);
}

proto::SurvivorProof ProofOf(SecAggSession& session, size_t node, const MemberSet& survivors) {
  const Ed25519Signature signature =
      session.Sign(node, SurvivorTranscript(session.server().roster(), survivors).bytes());
  proto::SurvivorProof proof;
  proof.set_member(static_cast<uint32_t>(node));
  proof.set_signature(std::string(signature.begin(), signature.end()));
  return proof;
}

std::string Text(const SecretBytes& bytes) {
  return std::string(bytes.bytes().begin(), bytes.bytes().end());
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
    RunToShares(session);
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
  RunToShares(old);
  RunToShares(session);
  ASSERT_EQ(old.client(1).advert().cipher_key(), session.client(1).advert().cipher_key());
  const Delivery replay = DeliveryTo(old, 1);

  EXPECT_THAT(session.client(1).TakeShares(replay.members, replay.sealed),
              StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(SecAggClientTest, SharesInAnotherOrderAreRefused) {
  SecAggSession session({.nodes = 4});
  RunToShares(session);
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
  RunToShares(session, {5});
  const Delivery delivery = DeliveryTo(session, 0);

  EXPECT_THAT(session.client(0).TakeShares(delivery.members, delivery.sealed),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("5 members gave shares")));
}

TEST(SecAggClientTest, SameDeliveryIsTakenAgainAndAnotherEndsTheSession) {
  SecAggSession session({.nodes = 5});
  RunToShares(session);
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

// ---- the masks

TEST(SecAggClientTest, MasksAreGivenOnce) {
  SecAggSession session({.nodes = 4});
  RunToShares(session);
  EXPECT_DEATH(session.client(0).TakeMasks(), "assertion failed");
  ASSERT_OK(session.Deliver(0));
  EXPECT_EQ(session.client(0).TakeMasks().size(), 4u);  // its own and one with each other node
  EXPECT_TRUE(session.client(0).has_used_masks());

  EXPECT_DEATH(session.client(0).TakeMasks(), "assertion failed");
}

// One change of what a session is about, or of who takes part.
struct Change {
  std::string what;
  std::function<void(SessionParams&, proto::KeyRoster&)> apply;
};

std::vector<Change> Changes() {
  const auto params = [](std::string what, std::function<void(SessionParams&)> apply) {
    return Change{std::move(what),
                  [apply = std::move(apply)](SessionParams& p, proto::KeyRoster&) { apply(p); }};
  };
  return {
      params("nothing", [](SessionParams&) {}),
      params("run", [](SessionParams& p) { p.run = RunId(std::string(32, 'b')); }),
      params("round", [](SessionParams& p) { p.round = RoundId(2); }),
      params("attempt", [](SessionParams& p) { p.attempt = AttemptId(2); }),
      params("model", [](SessionParams& p) { p.model_sha256[31] ^= 1; }),
      params("job", [](SessionParams& p) { p.job_sha256[0] ^= 1; }),
      params("length", [](SessionParams& p) { p.vector_length += 1; }),
      params("scale", [](SessionParams& p) { p.scale_bits += 1; }),
      {"members", [](SessionParams&, proto::KeyRoster& r) { r.mutable_adverts()->RemoveLast(); }},
      {"cipher key of another",
       [](SessionParams&, proto::KeyRoster& r) {
         r.mutable_adverts(3)->mutable_cipher_key()->at(0) ^= 1;
       }},
      {"mask key of another",
       [](SessionParams&, proto::KeyRoster& r) {
         r.mutable_adverts(3)->mutable_mask_key()->at(0) ^= 1;
       }},
      {"seed of another",
       [](SessionParams&, proto::KeyRoster& r) {
         r.mutable_adverts(3)->mutable_seed_commitment()->at(0) ^= 1;
       }},
  };
}

// Nodes 0 and 1 agree on the same secret each time, and yet share a mask only if they were shown
// the same session. So a model made for one node leaves noise in the sum even if every signature
// were accepted, as here, where all of them are made anew for what is shown.
TEST(SecAggClientTest, NodesThatWereShownDifferentSessionsShareNoMask) {
  SecAggSession session({.nodes = 4});
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  SeededRandom random(11);
  const SecretBytes agreed = random.DrawSecret(32);
  std::set<std::string> sessions;
  std::set<std::string> pair_masks;
  std::set<std::string> self_masks;
  std::set<std::string> sealing_keys;
  const std::vector<Change> changes = Changes();
  for (const Change& change : changes) {
    SessionParams params = session.Params();
    proto::KeyRoster shown = session.server().key_roster();
    change.apply(params, shown);
    for (int i = 0; i < shown.adverts_size(); ++i) {
      proto::KeyAdvert& advert = *shown.mutable_adverts(i);
      const Ed25519Signature signature =
          session.Sign(static_cast<size_t>(i), AdvertTranscript(params, advert).bytes());
      advert.set_signature(std::string(signature.begin(), signature.end()));
    }
    ASSERT_OK_AND_ASSIGN(
        const SessionRoster roster,
        SessionRoster::Create(params, shown, session.identities(), session.crypto()));

    EXPECT_TRUE(sessions.insert({roster.session_id().begin(), roster.session_id().end()}).second)
        << change.what;
    pair_masks.insert(Text(PairMask(roster, agreed, 0, 1).key));
    self_masks.insert(Text(SelfMask(roster, agreed, 0).key));
    sealing_keys.insert(Text(SealingFor(roster, agreed, 0, 1).key));
    EXPECT_TRUE(PairMask(roster, agreed, 0, 1).key == PairMask(roster, agreed, 1, 0).key);
    EXPECT_NE(PairMask(roster, agreed, 0, 1).is_subtracted,
              PairMask(roster, agreed, 1, 0).is_subtracted);
  }
  EXPECT_EQ(pair_masks.size(), changes.size());
  EXPECT_EQ(self_masks.size(), changes.size());
  EXPECT_EQ(sealing_keys.size(), changes.size());
}

// Under one and the same secret, within one session: each purpose, node and direction has its key.
TEST(SecAggClientTest, NoKeyOfASessionServesTwoPurposes) {
  SecAggSession session({.nodes = 6});
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  const SessionRoster& roster = session.server().roster();
  SeededRandom random(12);
  const SecretBytes agreed = random.DrawSecret(32);
  std::set<std::string> keys;
  size_t count = 0;
  const auto add = [&](const SecretBytes& key) {
    keys.insert(Text(key).substr(0, 16));
    ++count;
  };
  for (size_t i = 0; i < 6; ++i) {
    add(SelfMask(roster, agreed, i).key);
    for (size_t j = 0; j < 6; ++j) {
      if (j == i) continue;
      add(SealingFor(roster, agreed, i, j).key);
      if (i < j) add(PairMask(roster, agreed, i, j).key);
    }
  }
  EXPECT_EQ(count, 6u + 30u + 15u);
  EXPECT_EQ(keys.size(), count);
}

// The coordinator calls node 5 dropped, gets its mask key from the others, and then node 5's update
// comes after all.
TEST(SecAggClientTest, LateUpdateStaysBehindItsOwnMaskWhenTheSharedOnesAreKnown) {
  SecAggSession session({.nodes = 6});  // t = 4
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  session.Share();
  ASSERT_OK(session.Deliver(5));
  std::vector<MaskKey> masks = session.client(5).TakeMasks();
  std::vector<RingElement> late = session.input(5);
  ApplyMasks(late, masks);
  session.UploadAll({5});
  session.SignAll();
  session.server().CloseSignatures();
  session.UnmaskAll();
  ASSERT_OK_AND_ASSIGN(std::vector<MaskKey> recovered,
                       RecoverMasks(session.server().RecoveryInput()));
  // Node 5 is the last member, so its masks with the five others are at the end. They open the sum
  // of the others, in which their opposites are.
  ASSERT_EQ(recovered.size(), 10u);
  const auto shared = std::span(recovered).last(5);
  for (MaskKey& mask : shared) mask.is_subtracted = !mask.is_subtracted;

  ApplyMasks(late, shared);

  EXPECT_NE(late, session.input(5));
  std::vector<RingElement> behind_own = session.input(5);
  ApplyMasks(behind_own, std::span(masks).first(1));
  EXPECT_EQ(late, behind_own);
  EXPECT_FALSE(session.client(5).SignSurvivors(session.SurvivorsOf({0, 1, 2, 3, 4})).ok());
}

// Each byte of the difference against the uniform distribution: 255 degrees of freedom, so mean 255
// and standard deviation 22.6. The bounds are five of those; the seeds are fixed.
TEST(SecAggClientTest, MaskedUpdatesOfTwoRoundsAndOfTwoNodesDifferUniformly) {
  constexpr size_t kWords = size_t{1} << 16;
  std::vector<std::vector<RingElement>> uploads;
  for (const uint64_t round : {1u, 2u}) {
    SecAggSession session({.nodes = 4, .seed = 8, .round = round});  // the same secrets twice
    RunToShares(session);
    for (const size_t node : {0u, 1u}) {
      ASSERT_OK(session.Deliver(node));
      uploads.emplace_back(kWords, 1234);  // the same update each time
      ApplyMasks(uploads.back(), session.client(node).TakeMasks());
    }
  }
  for (const auto& [first, second] :
       std::vector<std::pair<size_t, size_t>>{{0, 1}, {2, 3}, {0, 2}, {1, 3}}) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      std::array<double, 256> counts{};
      for (size_t i = 0; i < kWords; ++i) {
        counts[(uploads[first][i] - uploads[second][i]) >> shift & 0xff] += 1;
      }
      constexpr double kExpected = kWords / 256.0;
      double statistic = 0;
      for (const double count : counts) {
        statistic += (count - kExpected) * (count - kExpected) / kExpected;
      }
      EXPECT_GT(statistic, 142) << first << " " << second << " " << shift;
      EXPECT_LT(statistic, 368) << first << " " << second << " " << shift;
    }
  }
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
    RunToShares(session);
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
