// A malicious coordinator and malicious nodes against a session with a ring. What such a session
// shares with one over the complete graph stands in secagg_attack_test.cc.
#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/secagg_session.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using ::testing::HasSubstr;

constexpr size_t kNodes = 100;

class SparseAttackTest : public testing::Test {
 protected:
  SparseAttackTest()
      : session_({.nodes = kNodes, .colluders = 3, .dropout_tolerance = 4, .is_real = false}) {}

  void RunToKeys() {
    session_.Advertise();
    ASSERT_OK(session_.CloseKeys());
    ASSERT_EQ(session_.server().stage(), SecAggServer::Stage::kRing);
  }
  // The session's adverts as they were closed, changed by whoever is in the middle.
  proto::KeyRoster& Adverts() {
    if (adverts_.adverts().empty()) adverts_ = session_.server().key_roster();
    return adverts_;
  }
  std::vector<NodeId> Own(size_t i) { return {SecAggSession::Name(i)}; }
  absl::StatusOr<proto::KeyShares> TakeRing(size_t i, const SessionRoster& roster,
                                            const proto::RingNonces& nonces) {
    SKERRY_ASSIGN_OR_RETURN(SessionRoster ringed,
                            roster.WithRing(nonces, Own(i), session_.crypto()));
    return session_.client(i).TakeRoster(std::make_shared<const SessionRoster>(std::move(ringed)));
  }

  SecAggSession session_;
  proto::KeyRoster adverts_;
};

// ---- grinding the ring -------------------------------------------------------------------------

// The last to speak could look for a nonce that puts its friends around a victim.
TEST_F(SparseAttackTest, ANonceThatWasNotCommittedToIsRefusedByServerAndNodes) {
  RunToKeys();
  ASSERT_OK_AND_ASSIGN(const auto roster, session_.Check(session_.server().key_roster()));
  ASSERT_OK_AND_ASSIGN(proto::RingReveal reveal, session_.client(5).RevealNonce(*roster));
  reveal.set_nonce(std::string(32, 'g'));

  EXPECT_EQ(session_.server().TakeReveal(reveal), proto::REJECT_REASON_MALFORMED);

  ASSERT_OK(session_.Reveal());
  proto::RingNonces ground = session_.server().ring_nonces();
  ground.mutable_nonces()->replace(5 * 32, 32, std::string(32, 'g'));
  EXPECT_THAT(roster->WithRing(ground, Own(0), session_.crypto()).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("n-0005")));
}

// With a victim's nonce in hand, a coordinator could draw rings over many lists of members.
TEST_F(SparseAttackTest, ANonceIsShownForOneListOfMembersOnly) {
  RunToKeys();
  ASSERT_OK_AND_ASSIGN(const auto first, session_.Check(Adverts()));
  ASSERT_OK(session_.client(0).RevealNonce(*first).status());
  ASSERT_OK(session_.client(0).RevealNonce(*first).status());  // a repeat gets the same
  Adverts().mutable_adverts()->DeleteSubrange(40, 1);
  ASSERT_OK_AND_ASSIGN(const auto second, session_.Check(Adverts()));

  EXPECT_THAT(session_.client(0).RevealNonce(*second).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("second, different list")));

  EXPECT_TRUE(session_.client(0).is_aborted());
}

TEST_F(SparseAttackTest, ARingOverAnotherListOfMembersIsRefused) {
  RunToKeys();
  ASSERT_OK_AND_ASSIGN(const auto shown, session_.Check(Adverts()));
  ASSERT_OK(session_.client(0).RevealNonce(*shown).status());
  ASSERT_OK(session_.Reveal());
  // Node 99 is left out, so that those around the victim move together.
  Adverts().mutable_adverts()->RemoveLast();
  proto::RingNonces nonces = session_.server().ring_nonces();
  nonces.mutable_nonces()->resize((kNodes - 1) * 32);
  ASSERT_OK_AND_ASSIGN(const auto other, session_.Check(Adverts()));

  EXPECT_THAT(TakeRing(0, *other, nonces).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("another list")));

  EXPECT_TRUE(session_.client(0).is_aborted());
}

TEST_F(SparseAttackTest, OneMissingNonceStopsTheSession) {
  RunToKeys();

  EXPECT_THAT(session_.Reveal(/*gone=*/{17}), StatusIs(absl::StatusCode::kFailedPrecondition));

  EXPECT_EQ(session_.server().stage(), SecAggServer::Stage::kRing);
  EXPECT_EQ(session_.server().reveal_count(), kNodes - 1);
}

TEST_F(SparseAttackTest, EveryMembersNonceMovesTheRing) {
  RunToKeys();
  ASSERT_OK(session_.Reveal());
  SecAggSession other(
      {.nodes = kNodes, .colluders = 3, .dropout_tolerance = 4, .is_real = false, .seed = 2});
  other.Advertise();
  ASSERT_OK(other.CloseKeys());
  ASSERT_OK(other.Reveal());

  size_t moved = 0;
  for (size_t i = 0; i < kNodes; ++i) {
    moved += session_.server().roster().graph().PartnersOf(i) !=
             other.server().roster().graph().PartnersOf(i);
  }
  EXPECT_EQ(moved, kNodes);
}

TEST_F(SparseAttackTest, SharesAreNotGivenWithoutARing) {
  RunToKeys();
  ASSERT_OK_AND_ASSIGN(const auto roster, session_.Check(session_.server().key_roster()));

  EXPECT_THAT(session_.client(0).TakeRoster(roster).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("without the ring")));
}

TEST_F(SparseAttackTest, ASmallSessionIsNotAskedForNonces) {
  SecAggSession small({.nodes = 5});
  small.Advertise();
  ASSERT_OK(small.CloseKeys());
  ASSERT_OK_AND_ASSIGN(const auto roster, small.Check(small.server().key_roster()));

  EXPECT_THAT(small.client(0).RevealNonce(*roster).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("complete")));
}

// ---- keys --------------------------------------------------------------------------------------

TEST_F(SparseAttackTest, AKeyThatAPartnerHasNotSignedEndsTheSessionBeforeAShareIsGiven) {
  RunToKeys();
  ASSERT_OK(session_.Reveal());
  const std::vector<size_t> partners = session_.server().roster().graph().PartnersOf(0);
  Adverts().mutable_adverts(static_cast<int>(partners[3]))->mutable_signature()->at(0) ^= 1;
  ASSERT_OK_AND_ASSIGN(const auto swapped, session_.Check(Adverts()));

  EXPECT_THAT(TakeRing(0, *swapped, session_.server().ring_nonces()).status(),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("not signed by it")));
}

// Whoever checks for several nodes must not forget one.
TEST_F(SparseAttackTest, ANodeWhosePartnersWereNotCheckedGivesNoShares) {
  RunToKeys();
  ASSERT_OK(session_.Reveal());
  ASSERT_OK_AND_ASSIGN(const auto roster, session_.Check(session_.server().key_roster()));
  ASSERT_OK_AND_ASSIGN(SessionRoster for_node_1, roster->WithRing(session_.server().ring_nonces(),
                                                                  Own(1), session_.crypto()));
  const std::vector<size_t> own = session_.server().roster().graph().PartnersOf(0);
  const auto shared = std::make_shared<const SessionRoster>(std::move(for_node_1));
  ASSERT_FALSE(std::all_of(own.begin(), own.end(),
                           [&](size_t partner) { return shared->IsVerified(partner); }));

  EXPECT_THAT(session_.client(0).TakeRoster(shared).status(),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("not checked")));
}

TEST_F(SparseAttackTest, AStrangerAnywhereInTheListIsRefused) {
  RunToKeys();
  Adverts().mutable_adverts(60)->set_node("n-0060x");

  EXPECT_THAT(session_.Check(Adverts()).status(),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("n-0060x")));
}

// ---- survivors ---------------------------------------------------------------------------------

TEST_F(SparseAttackTest, MoreDropoutsThanTheGraphWasChosenForAreNotSigned) {
  session_.RunToUploads();
  std::set<size_t> few;
  for (size_t i = 0; i < kNodes - 5; ++i) few.insert(i);

  EXPECT_THAT(session_.client(0).SignSurvivors(session_.SurvivorsOf(few)).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("95 survivors, 96")));
}

TEST_F(SparseAttackTest, SignaturesOfNodesThatHoldNoSharesDoNotCount) {
  session_.RunToUploads();
  session_.SignAll();
  session_.server().CloseSignatures();
  const std::vector<size_t> partners = session_.server().roster().graph().PartnersOf(0);
  proto::UnmaskRequest request = session_.server().unmask_request();
  const size_t threshold = session_.server().roster().threshold();
  auto& proofs = *request.mutable_proofs();
  size_t kept = 0;
  for (int i = 0; i < proofs.size();) {
    const bool is_partner =
        std::binary_search(partners.begin(), partners.end(), size_t{proofs.Get(i).member()});
    if (is_partner && ++kept >= threshold) {
      proofs.DeleteSubrange(i, 1);
    } else {
      ++i;
    }
  }
  ASSERT_GT(static_cast<size_t>(proofs.size()), threshold);

  EXPECT_THAT(session_.client(0).Unmask(request).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("have signed the set")));

  EXPECT_TRUE(session_.client(0).is_aborted());
}

// A liar among a member's partners is found, as in a small session.
TEST_F(SparseAttackTest, AWrongShareIsPassedOver) {
  session_.RunToUploads({3});
  session_.SignAll();
  session_.server().CloseSignatures();
  MaskRecoveryInput input = [&] {
    session_.UnmaskAll();
    return session_.server().RecoveryInput();
  }();
  for (char& byte : input.answers[8].shares) {
    if (&byte - input.answers[8].shares.data() >= 8) break;
    byte = 1;
  }

  const auto masks = RecoverMasks(input);

  ASSERT_OK(masks.status());
  ASSERT_OK_AND_ASSIGN(const std::vector<RingElement> opened, session_.Open());
  EXPECT_EQ(opened, session_.Expected());
}

}  // namespace
}  // namespace skerry
