// Sessions of more than 64 nodes, whose masks go along a sparse graph: the opened sum is the plain
// sum of the survivors' updates, bit by bit, whoever drops out at which step.
#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/secagg_rules.h"
#include "tests/support/secagg_session.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

struct Sparse {
  size_t nodes = 0;
  int64_t colluders = 0;
  int64_t dropout_tolerance = 0;
  bool is_real = false;
  uint64_t seed = 1;
};

SecAggSession SessionOf(const Sparse& sparse) {
  return SecAggSession({.nodes = sparse.nodes,
                        .colluders = sparse.colluders,
                        .dropout_tolerance = sparse.dropout_tolerance,
                        .is_real = sparse.is_real,
                        .seed = sparse.seed});
}

size_t DegreeOf(const Sparse& sparse) {
  const SessionShape shape =
      ShapeOfSession({.colluders = sparse.colluders, .dropout_tolerance = sparse.dropout_tolerance},
                     static_cast<int64_t>(sparse.nodes));
  return static_cast<size_t>(shape.degree);
}

// Loses as many random nodes as the session bears, spread over the steps, and opens the rest.
void RunCase(const Sparse& sparse) {
  ASSERT_LT(DegreeOf(sparse), sparse.nodes - 1) << "the graph is not sparse";
  SecAggSession session = SessionOf(sparse);
  Rng rng = Rng::Derive(sparse.seed, "sparse");
  std::vector<size_t> order(sparse.nodes);
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  rng.Shuffle(order);
  Dropouts dropouts;
  std::set<size_t>* steps[] = {&dropouts.before_shares, &dropouts.before_update,
                               &dropouts.before_signing, &dropouts.before_unmasking};
  for (size_t i = 0; i < static_cast<size_t>(sparse.dropout_tolerance); ++i) {
    steps[rng.Below(4)]->insert(order[i]);
  }

  const auto opened = session.Run(dropouts);

  ASSERT_OK(opened.status()) << "seed " << sparse.seed;
  EXPECT_EQ(session.server().roster().graph().PartnersOf(0).size(), DegreeOf(sparse));
  EXPECT_EQ(*opened, session.Expected()) << "seed " << sparse.seed;
}

class SparseSessionTest : public testing::TestWithParam<uint64_t> {};

TEST_P(SparseSessionTest, OpenedSumIsThePlainSumOfTheSurvivors) {
  for (uint64_t i = 0; i < 8; ++i) {
    const uint64_t seed = GetParam() * 8 + i;
    RunCase({.nodes = 100 + 7 * (seed % 20),
             .colluders = static_cast<int64_t>(seed % 6),
             .dropout_tolerance = static_cast<int64_t>(seed % 9),
             .seed = seed});
  }
}
INSTANTIATE_TEST_SUITE_P(Shards, SparseSessionTest, testing::Range(uint64_t{0}, uint64_t{8}));

TEST(LargeSparseSessionTest, AThousandNodesWithRealCurves) {
  RunCase({.nodes = 1000, .colluders = 20, .dropout_tolerance = 20, .is_real = true});
}

TEST(LargeSparseSessionTest, FiveThousandNodes) {
  RunCase({.nodes = 5000, .colluders = 50, .dropout_tolerance = 50});
}

TEST(LargeSparseSessionTest, ASessionRestoredAtEveryStageOpensTheSameSum) {
  SecAggSession session = SessionOf({.nodes = 120, .colluders = 3, .dropout_tolerance = 4});
  const auto restore = [&] {
    absl::StatusOr<SecAggServer> restored =
        SecAggServer::Restore(session.ServerOptions(), session.server().state());
    ASSERT_OK(restored.status());
    EXPECT_EQ(restored->stage(), session.server().stage());
    EXPECT_EQ(restored->state().SerializeAsString(), session.server().state().SerializeAsString());
    session.server() = *std::move(restored);
  };
  session.Advertise();
  ASSERT_OK(session.CloseKeys());
  restore();
  ASSERT_OK(session.Reveal());
  restore();
  session.Share({7});
  restore();
  session.UploadAll({7, 50});
  restore();
  session.SignAll({51});
  session.server().CloseSignatures();
  restore();
  session.UnmaskAll({51, 52});

  const auto opened = session.Open();

  ASSERT_OK(opened.status());
  EXPECT_EQ(*opened, session.Expected());
}

// More nodes may be missing at the end than at the beginning, as long as every member has enough
// partners left; when one has not, nothing is opened.
TEST(LargeSparseSessionTest, AMemberWithTooFewPartnersLeftStopsTheSession) {
  const Sparse sparse = {.nodes = 120, .colluders = 3, .dropout_tolerance = 4};
  SecAggSession session = SessionOf(sparse);
  session.RunToUploads();
  const SessionRoster& roster = session.server().roster();
  const std::vector<size_t> partners = roster.graph().PartnersOf(11);
  const size_t spare = partners.size() - roster.threshold();
  std::set<size_t> gone(partners.begin(), partners.begin() + static_cast<ptrdiff_t>(spare) + 1);

  session.SignAll(gone);
  EXPECT_FALSE(session.server().HasEnoughSignatures());
  const auto late =
      session.client(*gone.begin()).SignSurvivors(session.SurvivorsOf(session.survivors()));
  ASSERT_OK(late.status());
  ASSERT_EQ(session.server().TakeSignature(*late), proto::REJECT_REASON_UNSPECIFIED);
  ASSERT_TRUE(session.server().HasEnoughSignatures());
  session.server().CloseSignatures();
  session.UnmaskAll(gone);
  EXPECT_FALSE(session.server().HasEnoughAnswers());

  EXPECT_THAT(session.Open().status(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace skerry
