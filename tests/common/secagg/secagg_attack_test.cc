// A coordinator, or a node, that does not keep to the protocol. Each test is one attack; what
// counts is that no honest node gives anything away, or that the fault is found.
#include <array>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto/key_stream.h"
#include "tests/support/secagg_session.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

proto::UnmaskRequest RequestFor(SecAggSession& session, const std::set<size_t>& survivors,
                                const std::set<size_t>& signers) {
  proto::UnmaskRequest request;
  request.set_round(1);
  request.set_attempt(1);
  const MemberSet set = session.SurvivorsOf(survivors);
  request.set_survivors(set.bitmap());
  const Transcript bytes = SurvivorTranscript(session.server().roster(), set);
  for (const size_t i : signers) {
    const Ed25519Signature signature = session.Sign(i, bytes.bytes());
    proto::SurvivorProof& proof = *request.add_proofs();
    proof.set_member(static_cast<uint32_t>(i));
    proof.set_signature(std::string(signature.begin(), signature.end()));
  }
  return request;
}

TEST(SecAggAttackTest, TwoSurvivorSetsRevealNothing) {
  SecAggSession session({.nodes = 6, .colluders = 1});  // t = 4
  session.RunToUploads();
  const std::set<size_t> all = {0, 1, 2, 3, 4, 5};
  const std::set<size_t> other = {0, 1, 2, 3, 4};
  for (const size_t i : {0u, 1u, 2u})
    ASSERT_OK(session.client(i).SignSurvivors(session.SurvivorsOf(all)).status());
  for (const size_t i : {3u, 4u})
    ASSERT_OK(session.client(i).SignSurvivors(session.SurvivorsOf(other)).status());

  // Neither half has the four signatures that it takes.
  EXPECT_FALSE(session.client(0).Unmask(RequestFor(session, all, {0, 1, 2})).ok());
  EXPECT_FALSE(session.client(3).Unmask(RequestFor(session, other, {3, 4})).ok());
  // Nor do signatures of the other set count.
  proto::UnmaskRequest mixed = RequestFor(session, all, {1, 2});
  const proto::UnmaskRequest others = RequestFor(session, other, {3, 4});
  for (const proto::SurvivorProof& proof : others.proofs()) *mixed.add_proofs() = proof;
  EXPECT_FALSE(session.client(1).Unmask(mixed).ok());
  EXPECT_TRUE(session.client(1).is_aborted());
}

TEST(SecAggAttackTest, BothShareKindsOfOneNodeCannotBeHad) {
  SecAggSession session({.nodes = 6, .colluders = 1});
  session.RunToUploads();
  session.SignAll();
  const std::set<size_t> all = {0, 1, 2, 3, 4, 5};
  ASSERT_OK(session.client(0).Unmask(RequestFor(session, all, {0, 1, 2, 3})).status());

  // Node 5 called dropped now: its other share is asked.
  const auto second =
      session.client(0).Unmask(RequestFor(session, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}));

  EXPECT_FALSE(second.ok());
  EXPECT_TRUE(session.client(0).is_aborted());
  EXPECT_FALSE(session.client(0).Unmask(RequestFor(session, all, {0, 1, 2, 3})).ok());
}

TEST(SecAggAttackTest, SecondSurvivorSetIsNotSigned) {
  SecAggSession session({.nodes = 6, .colluders = 1});
  session.RunToUploads();
  ASSERT_OK(session.client(0).SignSurvivors(session.SurvivorsOf({0, 1, 2, 3, 4, 5})).status());

  EXPECT_FALSE(session.client(0).SignSurvivors(session.SurvivorsOf({0, 1, 2, 3, 4})).ok());
  EXPECT_TRUE(session.client(0).is_aborted());
}

TEST(SecAggAttackTest, SameRequestGetsTheSameBytes) {
  SecAggSession session({.nodes = 6, .colluders = 1});
  session.RunToUploads();
  session.SignAll();
  session.server().CloseSignatures();
  const auto first = session.client(2).Unmask(session.server().unmask_request());
  const auto second = session.client(2).Unmask(session.server().unmask_request());

  ASSERT_OK(first.status());
  ASSERT_OK(second.status());
  EXPECT_EQ(first->SerializeAsString(), second->SerializeAsString());
  // The same set with other signatures is another request.
  EXPECT_FALSE(
      session.client(2).Unmask(RequestFor(session, {0, 1, 2, 3, 4, 5}, {1, 2, 3, 4})).ok());
}

TEST(SecAggAttackTest, SwappedKeysAreNoticedBeforeAnythingIsSealed) {
  for (const bool is_mask_key : {false, true}) {
    SecAggSession session({.nodes = 5});
    session.Advertise();
    ASSERT_OK(session.CloseKeys());
    SeededRandom random(77);
    const AgreementSecret own = StandardSecAggCrypto().Generate(random);
    proto::KeyRoster roster = session.server().key_roster();
    const std::string key(own.public_key.begin(), own.public_key.end());
    if (is_mask_key) {
      roster.mutable_adverts(3)->set_mask_key(key);
    } else {
      roster.mutable_adverts(3)->set_cipher_key(key);
    }

    const auto checked = session.Check(roster);

    EXPECT_EQ(checked.status().code(), absl::StatusCode::kUnauthenticated);
    EXPECT_THAT(std::string(checked.status().message()), HasSubstr("n-0003"));
  }
}

TEST(SecAggAttackTest, AnotherModelForOneNodeIsNoticed) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  SessionParams other = session.Params();
  other.model_sha256 = Sha256Of("a model made for node 2");
  session.MakeClient(2, other);
  EXPECT_EQ(session.server().TakeAdvert(session.client(2).advert()),
            proto::REJECT_REASON_BAD_SIGNATURE);
  ASSERT_OK(session.CloseKeys());
  // A coordinator that passes it on all the same: the others refuse the list ...
  proto::KeyRoster roster = session.server().key_roster();
  *roster.mutable_adverts(2) = session.client(2).advert();
  EXPECT_EQ(session.Check(roster).status().code(), absl::StatusCode::kUnauthenticated);
  // ... and so does node 2, to whom the signatures of the others are for another model.
  EXPECT_EQ(
      SessionRoster::Create(other, roster, session.identities(), session.crypto()).status().code(),
      absl::StatusCode::kUnauthenticated);
}

TEST(SecAggAttackTest, SessionsOfOtherRoundsAttemptsAndModelsShareNoMask) {
  std::set<std::string> keys;
  size_t count = 0;
  for (const uint64_t round : {1u, 2u}) {
    for (const uint32_t attempt : {1u, 2u}) {
      // The same randomness each time: only the session differs.
      SecAggSession session({.nodes = 4, .seed = 5, .round = round, .attempt = attempt});
      session.Advertise();
      ASSERT_OK(session.CloseKeys());
      session.Share();
      for (size_t i = 0; i < 4; ++i) {
        ASSERT_OK(session.Deliver(i));
        for (const MaskKey& mask : session.client(i).TakeMasks()) {
          keys.insert(std::string(mask.key.bytes().begin(), mask.key.bytes().end()));
          ++count;
        }
      }
    }
  }
  // Each pair's key is there twice, at its two nodes: 4 own and 6 shared in each of 4 sessions.
  EXPECT_EQ(count, 64u);
  EXPECT_EQ(keys.size(), 40u);
}

// A coordinator that says to one node that fewer conspire, or that a smaller sum may be opened.
TEST(SecAggAttackTest, OtherLimitsForOneNodeAreNoticed) {
  for (int64_t SessionParams::*limit :
       {&SessionParams::colluders, &SessionParams::dropout_tolerance,
        &SessionParams::min_survivors}) {
    SecAggSession session({.nodes = 6, .colluders = 1, .dropout_tolerance = 1});
    session.Advertise();
    SessionParams weaker = session.Params();
    --(weaker.*limit);
    session.MakeClient(0, weaker);

    EXPECT_EQ(session.server().TakeAdvert(session.client(0).advert()),
              proto::REJECT_REASON_BAD_SIGNATURE);
    ASSERT_OK(session.CloseKeys());
    const auto seen = SessionRoster::Create(weaker, session.server().key_roster(),
                                            session.identities(), session.crypto());
    EXPECT_THAT(seen.status(), StatusIs(absl::StatusCode::kUnauthenticated));
  }
}

TEST(SecAggAttackTest, WeakSessionsAreRefused) {
  SecAggSession pair({.nodes = 2});
  pair.Advertise();
  EXPECT_THAT(std::string(pair.CloseKeys().message()), HasSubstr("3 members at least"));

  SecAggSession colluding({.nodes = 3, .colluders = 3});
  colluding.Advertise();
  EXPECT_FALSE(colluding.CloseKeys().ok());

  SecAggSession small({.nodes = 4, .members_min = 5});
  small.Advertise();
  ASSERT_OK(small.CloseKeys());
  ASSERT_OK_AND_ASSIGN(const auto roster, small.Check(small.server().key_roster()));
  EXPECT_EQ(small.client(0).TakeRoster(roster).status().code(),
            absl::StatusCode::kPermissionDenied);

  SecAggSession few({.nodes = 6, .survivors_min = 5});
  few.RunToUploads({0, 1});
  EXPECT_FALSE(few.client(2).SignSurvivors(few.SurvivorsOf({2, 3, 4, 5})).ok());
}

TEST(SecAggAttackTest, CohortStuffedWithStrangersIsRefused) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  const IdentityOf pins = [&](const NodeId& node) -> std::optional<Ed25519PublicKey> {
    if (node == SecAggSession::Name(4)) return std::nullopt;
    return session.identities()(node);
  };

  EXPECT_EQ(
      SessionRoster::Create(session.Params(), session.server().key_roster(), pins, session.crypto())
          .status()
          .code(),
      absl::StatusCode::kUnauthenticated);
}

TEST(SecAggAttackTest, MembersTwiceOrUnsortedAreRefused) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  proto::KeyRoster twice = session.server().key_roster();
  *twice.add_adverts() = twice.adverts(4);
  proto::KeyRoster unsorted = session.server().key_roster();
  unsorted.mutable_adverts()->SwapElements(1, 2);

  EXPECT_FALSE(session.Check(twice).ok());
  EXPECT_FALSE(session.Check(unsorted).ok());
}

TEST(SecAggAttackTest, UpdateOfANodeCalledDroppedStaysHidden) {
  SecAggSession session({.nodes = 6, .colluders = 0});  // t = 4
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  session.Share();
  for (size_t i = 0; i < 6; ++i) ASSERT_OK(session.Deliver(i));
  // Node 5's update comes late, after the coordinator has called it dropped and got its mask key:
  // it can take off every mask that node 5 shares with another, but not its own.
  std::vector<RingElement> late = session.input(5);
  std::vector<MaskKey> masks = session.client(5).TakeMasks();
  ApplyMasks(late, masks);
  std::vector<RingElement> stripped = late;
  std::vector<MaskKey> shared;
  for (size_t i = 1; i < masks.size(); ++i) {
    shared.push_back({.key = SecretBytes::CopyOf(masks[i].key.bytes()),
                      .is_subtracted = !masks[i].is_subtracted});
  }
  ApplyMasks(stripped, shared);

  EXPECT_NE(stripped, session.input(5));
  std::vector<RingElement> own = session.input(5);
  ApplyMasks(own, std::span(masks).first(1));
  EXPECT_EQ(stripped, own);
}

TEST(SecAggAttackTest, DamagedShareIsNoticed) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  session.Share();
  const std::vector<NodeId> names = {SecAggSession::Name(1)};
  proto::ShareDelivery delivery = session.server().DeliveryFor(names);
  const auto members = MemberSet::Parse(delivery.members(), 5);
  std::string sealed = delivery.nodes(0).sealed();
  sealed[100] = static_cast<char>(sealed[100] ^ 1);

  const absl::Status taken = session.client(1).TakeShares(*members, sealed);

  EXPECT_EQ(taken.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_TRUE(session.client(1).is_aborted());
  EXPECT_FALSE(session.client(1).has_masks());
  EXPECT_FALSE(session.client(1).TakeShares(*members, delivery.nodes(0).sealed()).ok());
}

TEST(SecAggAttackTest, SharesMeantForAnotherNodeAreRefused) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  session.Share();
  const std::vector<NodeId> names = {SecAggSession::Name(2)};
  const proto::ShareDelivery delivery = session.server().DeliveryFor(names);
  const auto members = MemberSet::Parse(delivery.members(), 5);

  EXPECT_FALSE(session.client(1).TakeShares(*members, delivery.nodes(0).sealed()).ok());
}

TEST(SecAggAttackTest, WrongSharesOfANodeAreFoundAsLongAsThereAreSpares) {
  SecAggSession session({.nodes = 6, .colluders = 0});  // t = 4
  session.RunToUploads({5});
  session.SignAll();
  session.server().CloseSignatures();
  session.UnmaskAll({1});
  auto lying = session.client(1).Unmask(session.server().unmask_request());
  ASSERT_OK(lying.status());
  for (const size_t at : {3u, 200u}) {
    lying->mutable_shares()->at(at) = static_cast<char>(lying->shares()[at] ^ 4);
  }
  ASSERT_EQ(session.server().TakeUnmaskShares(*lying), proto::REJECT_REASON_UNSPECIFIED);

  const auto opened = session.Open();

  ASSERT_OK(opened.status());
  EXPECT_EQ(*opened, session.Expected());
}

TEST(SecAggAttackTest, OneOrTwoLiarsAmongManyAreFoundWhereverTheyStand) {
  for (const std::vector<size_t>& liars :
       std::vector<std::vector<size_t>>{{0}, {5}, {17}, {0, 1}, {3, 16}}) {
    SecAggSession session({.nodes = 18, .colluders = 5});  // t = 12
    session.RunToUploads();
    session.SignAll();
    session.server().CloseSignatures();
    session.UnmaskAll({liars.begin(), liars.end()});
    for (const size_t liar : liars) {
      auto lying = session.client(liar).Unmask(session.server().unmask_request());
      for (size_t at = 2; at < lying->shares().size(); at += kShareBytes) {
        lying->mutable_shares()->at(at) = static_cast<char>(lying->shares()[at] ^ 4);
      }
      ASSERT_EQ(session.server().TakeUnmaskShares(*lying), proto::REJECT_REASON_UNSPECIFIED);
    }

    const auto opened = session.Open();

    ASSERT_OK(opened.status()) << testing::PrintToString(liars);
    EXPECT_EQ(*opened, session.Expected());
  }
}

TEST(SecAggAttackTest, KeyOfSmallOrderKeepsItsOwnerOutOnly) {
  SecAggSession session({.nodes = 5});
  session.Advertise({4});
  session.MakeClient(4);
  proto::KeyAdvert weak = session.client(4).advert();
  weak.set_cipher_key(std::string(32, '\0'));
  const Ed25519Signature signature =
      session.Sign(4, AdvertTranscript(session.Params(), weak).bytes());
  weak.set_signature(std::string(signature.begin(), signature.end()));

  EXPECT_EQ(session.server().TakeAdvert(weak), proto::REJECT_REASON_MALFORMED);
  ASSERT_OK(session.CloseKeys());
  EXPECT_EQ(session.server().roster().size(), 4u);
}

TEST(SecAggAttackTest, WrongSharesWithoutSparesAreAnErrorAndNotAWrongSum) {
  SecAggSession session({.nodes = 6, .colluders = 0});
  session.RunToUploads();
  session.SignAll();
  session.server().CloseSignatures();
  session.UnmaskAll({0, 4, 5});
  auto lying = session.client(0).Unmask(session.server().unmask_request());
  lying->mutable_shares()->at(3) = static_cast<char>(lying->shares()[3] ^ 4);
  session.server().TakeUnmaskShares(*lying);

  const auto opened = session.Open();

  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("n-0000"));
}

TEST(SecAggAttackTest, MessagesOfAnOlderSessionAreRefused) {
  SecAggSession old({.nodes = 5, .seed = 1});
  old.RunToUploads();
  old.SignAll();
  old.server().CloseSignatures();
  SecAggSession session({.nodes = 5, .seed = 2, .attempt = 2});
  session.Advertise();
  EXPECT_EQ(session.server().TakeAdvert(old.client(1).advert()), proto::REJECT_REASON_WRONG_ROUND);
  ASSERT_OK(session.CloseKeys());
  EXPECT_FALSE(session.Check(old.server().key_roster()).ok());  // signed for attempt 1
  session.Share();
  for (size_t i = 0; i < 5; ++i) {
    ASSERT_OK(session.Deliver(i));
    session.Upload(i);
  }
  const std::vector<NodeId> all = {SecAggSession::Name(0), SecAggSession::Name(1),
                                   SecAggSession::Name(2), SecAggSession::Name(3),
                                   SecAggSession::Name(4)};
  session.server().CloseUpdates(all);
  ASSERT_OK(session.client(0).SignSurvivors(session.SurvivorsOf({0, 1, 2, 3, 4})).status());

  EXPECT_FALSE(session.client(0).Unmask(old.server().unmask_request()).ok());
}

TEST(SecAggAttackTest, QuestionsOutOfOrderEndTheSession) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  session.Share();
  for (size_t i = 0; i < 5; ++i) ASSERT_OK(session.Deliver(i));
  MemberSet all(5);
  for (size_t i = 0; i < 5; ++i) all.Insert(i);

  EXPECT_FALSE(session.client(0).SignSurvivors(all).ok());  // its update has not left
  EXPECT_TRUE(session.client(0).is_aborted());
  EXPECT_FALSE(session.client(0).has_masks());
  session.Upload(1);
  EXPECT_FALSE(session.client(1).Unmask(RequestFor(session, {0, 1, 2, 3, 4}, {0, 1, 2})).ok());
  session.Upload(2);
  EXPECT_FALSE(session.client(2).SignSurvivors(session.SurvivorsOf({0, 1, 3, 4})).ok());
}

TEST(SecAggAttackTest, ForgedMissingOrForeignProofsOpenNothing) {
  const std::set<size_t> survivors = {0, 1, 2, 3, 4};
  const auto refused = [&](auto spoil) {
    SecAggSession session({.nodes = 6, .colluders = 0});  // t = 4
    session.RunToUploads({5});
    session.SignAll();
    proto::UnmaskRequest request = RequestFor(session, survivors, {0, 1, 2, 3});
    spoil(request, session);
    return !session.client(0).Unmask(request).ok() && session.client(0).is_aborted();
  };

  EXPECT_FALSE(refused([](auto&, auto&) {}));
  EXPECT_TRUE(refused([](auto& request, auto&) { request.mutable_proofs()->RemoveLast(); }));
  EXPECT_TRUE(refused(
      [](auto& request, auto&) { request.mutable_proofs(1)->mutable_signature()->at(5) ^= 1; }));
  EXPECT_TRUE(refused([](auto& request, auto&) { request.mutable_proofs()->SwapElements(0, 1); }));
  EXPECT_TRUE(
      refused([](auto& request, auto&) { *request.mutable_proofs(1) = request.proofs(0); }));
  EXPECT_TRUE(refused([&](auto& request, auto& session) {  // of one that is no survivor
    request.mutable_proofs(3)->set_member(5);
    const auto bytes =
        SurvivorTranscript(session.server().roster(), session.SurvivorsOf(survivors));
    const Ed25519Signature signature = session.Sign(5, bytes.bytes());
    request.mutable_proofs(3)->set_signature(std::string(signature.begin(), signature.end()));
  }));
}

TEST(SecAggAttackTest, ServerRefusesWhatDoesNotFit) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  proto::KeyAdvert forged = session.client(1).advert();
  forged.set_node("n-0002");
  EXPECT_EQ(session.server().TakeAdvert(forged), proto::REJECT_REASON_BAD_SIGNATURE);
  const proto::KeyAdvert before = session.client(1).advert();
  session.MakeClient(1);  // restarted: new keys count as long as the list is open
  EXPECT_EQ(session.server().TakeAdvert(session.client(1).advert()),
            proto::REJECT_REASON_UNSPECIFIED);
  ASSERT_OK(session.CloseKeys());
  EXPECT_EQ(session.server().TakeAdvert(before), proto::REJECT_REASON_KEYS_CLOSED);
  ASSERT_OK_AND_ASSIGN(const auto roster, session.Check(session.server().key_roster()));
  ASSERT_OK_AND_ASSIGN(proto::KeyShares shares, session.client(0).TakeRoster(roster));
  proto::KeyShares shorter = shares;
  shorter.mutable_sealed()->resize(96);
  EXPECT_EQ(session.server().TakeShares(shorter), proto::REJECT_REASON_MALFORMED);
  EXPECT_EQ(session.server().TakeShares(shares), proto::REJECT_REASON_UNSPECIFIED);
  EXPECT_EQ(session.server().TakeShares(shares), proto::REJECT_REASON_UNSPECIFIED);
  shares.mutable_sealed()->at(0) ^= 1;
  EXPECT_EQ(session.server().TakeShares(shares), proto::REJECT_REASON_DUPLICATE);
}

TEST(SecAggAttackTest, KeyUsedTwiceIsRefused) {
  SecAggSession session({.nodes = 5});
  session.Advertise();
  // Node 4 signs node 3's mask key as its own.
  proto::KeyAdvert copied = session.client(4).advert();
  copied.set_mask_key(session.client(3).advert().mask_key());
  const Ed25519Signature signature =
      session.Sign(4, AdvertTranscript(session.Params(), copied).bytes());
  copied.set_signature(std::string(signature.begin(), signature.end()));
  ASSERT_EQ(session.server().TakeAdvert(copied), proto::REJECT_REASON_UNSPECIFIED);

  EXPECT_THAT(std::string(session.CloseKeys().message()), HasSubstr("used twice"));
}

}  // namespace
}  // namespace skerry
