// What a node's masks and keys are bound to, and that they hide what they cover.
#include <array>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/secagg/mask_recovery.h"
#include "common/secagg/secagg_client.h"
#include "tests/support/secagg_session.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

std::string Text(const SecretBytes& bytes) {
  return std::string(bytes.bytes().begin(), bytes.bytes().end());
}

TEST(SecAggMasksTest, MasksAreGivenOnce) {
  SecAggSession session({.nodes = 4});
  session.RunToShares();
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
TEST(SecAggMasksTest, NodesThatWereShownDifferentSessionsShareNoMask) {
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
TEST(SecAggMasksTest, NoKeyOfASessionServesTwoPurposes) {
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
TEST(SecAggMasksTest, LateUpdateStaysBehindItsOwnMaskWhenTheSharedOnesAreKnown) {
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
TEST(SecAggMasksTest, MaskedUpdatesOfTwoRoundsAndOfTwoNodesDifferUniformly) {
  constexpr size_t kWords = size_t{1} << 16;
  std::vector<std::vector<RingElement>> uploads;
  for (const uint64_t round : {1u, 2u}) {
    SecAggSession session({.nodes = 4, .seed = 8, .round = round});  // the same secrets twice
    session.RunToShares();
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

}  // namespace
}  // namespace skerry
