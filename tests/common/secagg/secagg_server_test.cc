#include "common/secagg/secagg_server.h"

#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/secagg_session.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using Stage = SecAggServer::Stage;

constexpr auto kTaken = proto::REJECT_REASON_UNSPECIFIED;

NodeId Name(size_t i) { return SecAggSession::Name(i); }

std::vector<NodeId> Names(const std::set<size_t>& nodes) {
  std::vector<NodeId> names;
  for (const size_t i : nodes) names.push_back(Name(i));
  return names;
}

// Five nodes of which four must stay. Node 4 gives shares but no update.
class SecAggServerTest : public testing::Test {
 protected:
  void CloseShares() {
    session_.Advertise();
    ASSERT_OK(session_.CloseKeys());
    session_.Share();
  }
  void CloseUpdates() {
    CloseShares();
    session_.UploadAll({4});
  }
  void CloseSignatures() {
    CloseUpdates();
    session_.SignAll();
    server().CloseSignatures();
  }
  SecAggServer& server() { return session_.server(); }
  // The server as a restarted coordinator has it.
  absl::StatusOr<SecAggServer> Restored() {
    return SecAggServer::Restore(session_.ServerOptions(), server().state());
  }

  SecAggSession session_{SecAggSession::Options{.nodes = 5, .colluders = 1}};
};

// ---- keys

TEST_F(SecAggServerTest, RepeatedAdvertIsTakenAgainEvenAfterTheKeysAreClosed) {
  session_.Advertise();
  EXPECT_EQ(server().TakeAdvert(session_.client(1).advert()), kTaken);
  EXPECT_EQ(server().advert_count(), 5u);
  ASSERT_OK(session_.CloseKeys());

  EXPECT_EQ(server().TakeAdvert(session_.client(1).advert()), kTaken);
}

TEST_F(SecAggServerTest, NewKeysOfANodeReplaceItsOldOnesUntilTheKeysAreClosed) {
  session_.Advertise();
  session_.MakeClient(2);
  ASSERT_EQ(server().TakeAdvert(session_.client(2).advert()), kTaken);
  ASSERT_OK(session_.CloseKeys());
  EXPECT_EQ(server().advert_count(), 5u);
  EXPECT_EQ(server().key_roster().adverts(2).SerializeAsString(),
            session_.client(2).advert().SerializeAsString());
  const std::string closed = server().key_roster().SerializeAsString();

  session_.MakeClient(2);

  EXPECT_EQ(server().TakeAdvert(session_.client(2).advert()), proto::REJECT_REASON_KEYS_CLOSED);
  EXPECT_EQ(server().key_roster().SerializeAsString(), closed);
}

TEST_F(SecAggServerTest, AdvertsOfStrangersAndOtherAttemptsAreRefused) {
  SecAggSession others({.nodes = 6, .colluders = 1});
  others.Advertise();
  EXPECT_EQ(server().TakeAdvert(others.client(5).advert()), proto::REJECT_REASON_NOT_IN_ROSTER);
  proto::KeyAdvert advert = others.client(0).advert();
  advert.set_attempt(2);
  EXPECT_EQ(server().TakeAdvert(advert), proto::REJECT_REASON_WRONG_ROUND);
  advert.set_attempt(1);
  advert.set_round(2);
  EXPECT_EQ(server().TakeAdvert(advert), proto::REJECT_REASON_WRONG_ROUND);
  EXPECT_EQ(server().advert_count(), 0u);
}

TEST_F(SecAggServerTest, EveryFieldOfAnAdvertIsSigned) {
  session_.MakeClient(1);
  const auto flipped = [](std::string bytes) {
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    return bytes;
  };
  const proto::KeyAdvert good = session_.client(1).advert();
  std::vector<proto::KeyAdvert> forged(5, good);
  forged[0].set_node(Name(2).value());
  forged[1].set_cipher_key(flipped(good.cipher_key()));
  forged[2].set_mask_key(flipped(good.mask_key()));
  forged[3].set_seed_commitment(flipped(good.seed_commitment()));
  forged[4].set_signature(flipped(good.signature()));

  for (size_t i = 0; i < forged.size(); ++i) {
    EXPECT_EQ(server().TakeAdvert(forged[i]), proto::REJECT_REASON_BAD_SIGNATURE) << i;
  }
  EXPECT_EQ(server().advert_count(), 0u);
  EXPECT_EQ(server().TakeAdvert(good), kTaken);
}

TEST_F(SecAggServerTest, ForgottenNodeIsNoMember) {
  session_.Advertise();
  server().Forget(Name(3));
  EXPECT_FALSE(server().HasAdvert(Name(3)));
  ASSERT_OK(session_.CloseKeys());

  server().Forget(Name(0));  // too late: the list is fixed

  EXPECT_EQ(server().roster().size(), 4u);
  EXPECT_FALSE(server().roster().Find(Name(3)).has_value());
  EXPECT_TRUE(server().HasAdvert(Name(0)));
}

// ---- shares

TEST_F(SecAggServerTest, SharesOfAnotherLengthAreRefused) {
  session_.Advertise();
  ASSERT_OK(session_.CloseKeys());
  ASSERT_OK_AND_ASSIGN(const auto roster, session_.Check(server().key_roster()));
  ASSERT_OK_AND_ASSIGN(const proto::KeyShares good, session_.client(0).TakeRoster(roster));
  for (const size_t size : {0u, 96u, 4u * 96u - 1u, 4u * 96u + 1u, 5u * 96u}) {
    proto::KeyShares shares = good;
    shares.mutable_sealed()->resize(size);
    EXPECT_EQ(server().TakeShares(shares), proto::REJECT_REASON_MALFORMED) << size;
  }
  EXPECT_EQ(server().share_count(), 0u);
  EXPECT_EQ(server().TakeShares(good), kTaken);
}

TEST_F(SecAggServerTest, OtherSharesOfANodeAreADuplicateAndItsFirstOnesStay) {
  session_.Advertise();
  ASSERT_OK(session_.CloseKeys());
  ASSERT_OK_AND_ASSIGN(const auto roster, session_.Check(server().key_roster()));
  ASSERT_OK_AND_ASSIGN(const proto::KeyShares first, session_.client(0).TakeRoster(roster));
  ASSERT_EQ(server().TakeShares(first), kTaken);
  proto::KeyShares second = first;
  second.mutable_sealed()->front() = static_cast<char>(second.sealed().front() ^ 1);

  EXPECT_EQ(server().TakeShares(second), proto::REJECT_REASON_DUPLICATE);
  EXPECT_EQ(server().TakeShares(first), kTaken);
  EXPECT_EQ(server().share_count(), 1u);
}

TEST_F(SecAggServerTest, SharesBeforeTheKeysOrAfterTheCloseAreRefused) {
  SecAggSession other({.nodes = 5, .colluders = 1});
  other.Advertise();
  ASSERT_OK(other.CloseKeys());
  ASSERT_OK_AND_ASSIGN(const auto roster, other.Check(other.server().key_roster()));
  ASSERT_OK_AND_ASSIGN(proto::KeyShares shares, other.client(4).TakeRoster(roster));
  EXPECT_EQ(server().TakeShares(shares), proto::REJECT_REASON_MALFORMED);
  session_.Advertise();
  ASSERT_OK(session_.CloseKeys());
  session_.Share({4});

  EXPECT_EQ(server().TakeShares(shares), proto::REJECT_REASON_KEYS_CLOSED);
  EXPECT_FALSE(server().IsMember(Name(4)));
  shares.set_attempt(2);
  EXPECT_EQ(server().TakeShares(shares), proto::REJECT_REASON_WRONG_ROUND);
}

// ---- survivors

TEST_F(SecAggServerTest, SignaturesOfAnotherSetAndOfNonSurvivorsAreRefused) {
  CloseUpdates();
  const auto signature_of = [&](size_t node, const std::set<size_t>& survivors) {
    const Transcript bytes = SurvivorTranscript(server().roster(), session_.SurvivorsOf(survivors));
    const Ed25519Signature signed_bytes = session_.Sign(node, bytes.bytes());
    proto::SurvivorSignature signature;
    signature.set_node(Name(node).value());
    signature.set_round(1);
    signature.set_attempt(1);
    signature.set_signature(std::string(signed_bytes.begin(), signed_bytes.end()));
    return signature;
  };

  EXPECT_EQ(server().TakeSignature(signature_of(0, {0, 1, 2, 3, 4})),
            proto::REJECT_REASON_BAD_SIGNATURE);
  EXPECT_EQ(server().TakeSignature(signature_of(4, {0, 1, 2, 3})),
            proto::REJECT_REASON_KEYS_CLOSED);
  proto::SurvivorSignature of_another = signature_of(1, {0, 1, 2, 3});
  of_another.set_node(Name(0).value());
  EXPECT_EQ(server().TakeSignature(of_another), proto::REJECT_REASON_BAD_SIGNATURE);
  EXPECT_EQ(server().signature_count(), 0u);
  EXPECT_EQ(server().TakeSignature(signature_of(0, {0, 1, 2, 3})), kTaken);
  EXPECT_EQ(server().signature_count(), 1u);
}

TEST_F(SecAggServerTest, SignatureAfterTheCloseChangesNothing) {
  CloseUpdates();
  session_.SignAll();
  const auto again = session_.client(0).SignSurvivors(session_.SurvivorsOf({0, 1, 2, 3}));
  server().CloseSignatures();
  const std::string closed = server().unmask_request().SerializeAsString();

  EXPECT_EQ(server().TakeSignature(*again), kTaken);
  EXPECT_EQ(server().unmask_request().SerializeAsString(), closed);
}

TEST_F(SecAggServerTest, SumOfTooFewAndSetSignedByTooFewAreNeverClosed) {
  CloseShares();
  EXPECT_DEATH(server().CloseUpdates(Names({0, 1, 2})), "assertion failed");
  session_.UploadAll({4});
  session_.SignAll({3});
  EXPECT_EQ(server().signature_count(), 3u);

  EXPECT_DEATH(server().CloseSignatures(), "assertion failed");
}

// ---- unmasking

TEST_F(SecAggServerTest, AnswersOfAnotherLengthAndOfNonSurvivorsAreRefused) {
  CloseSignatures();
  ASSERT_OK_AND_ASSIGN(const proto::UnmaskShares good,
                       session_.client(0).Unmask(server().unmask_request()));
  proto::UnmaskShares shorter = good;
  shorter.mutable_shares()->pop_back();
  EXPECT_EQ(server().TakeUnmaskShares(shorter), proto::REJECT_REASON_MALFORMED);
  proto::UnmaskShares longer = good;
  longer.mutable_shares()->append(40, '\0');
  EXPECT_EQ(server().TakeUnmaskShares(longer), proto::REJECT_REASON_MALFORMED);
  proto::UnmaskShares dropped = good;
  dropped.set_node(Name(4).value());
  EXPECT_EQ(server().TakeUnmaskShares(dropped), proto::REJECT_REASON_KEYS_CLOSED);
  proto::UnmaskShares old = good;
  old.set_round(7);
  EXPECT_EQ(server().TakeUnmaskShares(old), proto::REJECT_REASON_WRONG_ROUND);
  EXPECT_EQ(server().answer_count(), 0u);
  EXPECT_EQ(server().TakeUnmaskShares(good), kTaken);
}

TEST_F(SecAggServerTest, FirstAnswerOfANodeCounts) {
  CloseSignatures();
  session_.UnmaskAll();
  proto::UnmaskShares other;
  other.set_node(Name(0).value());
  other.set_round(1);
  other.set_attempt(1);
  other.set_shares(std::string(size_t{5} * 40, '\0'));
  ASSERT_EQ(server().TakeUnmaskShares(other), kTaken);

  const auto opened = session_.Open();

  ASSERT_OK(opened);
  EXPECT_EQ(*opened, session_.Expected());
}

TEST_F(SecAggServerTest, AnswerBeforeTheRequestIsRefused) {
  CloseUpdates();
  proto::UnmaskShares answer;
  answer.set_node(Name(0).value());
  answer.set_round(1);
  answer.set_attempt(1);
  answer.set_shares(std::string(size_t{5} * 40, '\0'));

  EXPECT_EQ(server().TakeUnmaskShares(answer), proto::REJECT_REASON_KEYS_CLOSED);
}

// ---- restart

TEST_F(SecAggServerTest, RestartAfterTheKeysGivesTheSameRoster) {
  session_.Advertise();
  ASSERT_OK(session_.CloseKeys());

  ASSERT_OK_AND_ASSIGN(SecAggServer restored, Restored());

  EXPECT_EQ(restored.stage(), Stage::kShares);
  EXPECT_EQ(restored.state().SerializeAsString(), server().state().SerializeAsString());
  EXPECT_EQ(restored.key_roster().SerializeAsString(), server().key_roster().SerializeAsString());
  EXPECT_EQ(restored.roster().session_id(), server().roster().session_id());
  ASSERT_OK_AND_ASSIGN(const auto roster, session_.Check(restored.key_roster()));
  ASSERT_OK_AND_ASSIGN(const proto::KeyShares shares, session_.client(0).TakeRoster(roster));
  EXPECT_EQ(restored.TakeShares(shares), kTaken);
}

TEST_F(SecAggServerTest, RestartAfterTheSharesDeliversTheSameBytes) {
  CloseShares();

  ASSERT_OK_AND_ASSIGN(const SecAggServer restored, Restored());

  EXPECT_EQ(restored.stage(), Stage::kUpdates);
  EXPECT_EQ(restored.state().SerializeAsString(), server().state().SerializeAsString());
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(restored.DeliveryFor(Names({i})).SerializeAsString(),
              server().DeliveryFor(Names({i})).SerializeAsString());
    EXPECT_TRUE(restored.IsMember(Name(i)));
  }
}

TEST_F(SecAggServerTest, RestartAfterTheUpdatesAsksForTheSameSet) {
  CloseUpdates();

  ASSERT_OK_AND_ASSIGN(SecAggServer restored, Restored());

  EXPECT_EQ(restored.stage(), Stage::kSignatures);
  EXPECT_EQ(restored.state().SerializeAsString(), server().state().SerializeAsString());
  EXPECT_EQ(restored.survivor_set().SerializeAsString(),
            server().survivor_set().SerializeAsString());
  EXPECT_FALSE(restored.IsSurvivor(Name(4)));
  session_.SignAll();
  for (size_t i = 0; i < 4; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto signature,
                         session_.client(i).SignSurvivors(session_.SurvivorsOf({0, 1, 2, 3})));
    EXPECT_EQ(restored.TakeSignature(signature), kTaken);
  }
  server().CloseSignatures();
  restored.CloseSignatures();
  EXPECT_EQ(restored.unmask_request().SerializeAsString(),
            server().unmask_request().SerializeAsString());
}

TEST_F(SecAggServerTest, RestartAfterTheSignaturesGetsTheStoredAnswersAndOpensTheSum) {
  CloseSignatures();
  session_.UnmaskAll();
  ASSERT_OK_AND_ASSIGN(SecAggServer restored, Restored());
  EXPECT_EQ(restored.stage(), Stage::kUnmasking);
  EXPECT_EQ(restored.state().SerializeAsString(), server().state().SerializeAsString());
  ASSERT_EQ(restored.unmask_request().SerializeAsString(),
            server().unmask_request().SerializeAsString());
  EXPECT_EQ(restored.answer_count(), 0u);

  for (size_t i = 0; i < 4; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto answer, session_.client(i).Unmask(restored.unmask_request()));
    ASSERT_EQ(restored.TakeUnmaskShares(answer), kTaken);
  }

  ASSERT_OK_AND_ASSIGN(const auto before, RecoverMasks(server().RecoveryInput()));
  ASSERT_OK_AND_ASSIGN(const auto after, RecoverMasks(restored.RecoveryInput()));
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_TRUE(after[i].key == before[i].key) << i;
    EXPECT_EQ(after[i].is_subtracted, before[i].is_subtracted) << i;
  }
}

TEST_F(SecAggServerTest, RestartFailsIfAMemberIsNotInTheRosterAnyMore) {
  CloseShares();
  SecAggServer::Options options = session_.ServerOptions();
  options.identity_of = [pinned = options.identity_of](const NodeId& node) {
    return node == Name(1) ? std::nullopt : pinned(node);
  };

  EXPECT_THAT(SecAggServer::Restore(options, server().state()),
              StatusIs(absl::StatusCode::kUnauthenticated));
}

}  // namespace
}  // namespace skerry
