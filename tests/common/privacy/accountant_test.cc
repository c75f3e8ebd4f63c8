#include "common/privacy/accountant.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/privacy/analytic_gaussian.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using ::testing::HasSubstr;

PrivacyEvent Event(double rate, double noise_multiplier, int64_t steps,
                   Adjacency adjacency = Adjacency::kAddRemove) {
  return {.noise_multiplier = noise_multiplier,
          .sampling = Sampling::Poisson(rate),
          .steps = steps,
          .adjacency = adjacency};
}

double Epsilon(const std::vector<PrivacyEvent>& events, double delta, Accountant accountant) {
  const absl::StatusOr<double> epsilon = EpsilonFor(events, delta, accountant);
  EXPECT_OK(epsilon.status());
  return epsilon.value_or(std::numeric_limits<double>::quiet_NaN());
}

struct Anchor {
  PrivacyEvent event;
  double delta;
  double pld;
  double rdp;
};

// Figures of Google's dp_accounting, as published for these settings with three decimals. Its PLD
// is itself an upper bound that is a little above the truth, at most 6 % for the smallest rate. Its
// RDP knows fewer orders, so ours may be a little below.
std::vector<Anchor> Anchors() {
  return {
      {Event(1.0, 3.0, 30), 1e-6, 9.855, 10.484},
      {Event(0.2, 3.0, 150), 1e-6, 4.184, 4.505},
      {Event(0.05, 1.2, 500), 1e-6, 6.095, 6.617},
      {Event(0.02, 0.9, 2000), 1e-6, 7.852, 8.536},
      {Event(256.0 / 60000.0, 1.1, 14062), 1e-5, 2.382, 2.597},
      {Event(120.0 / 3383.0, 1.2, 100), 1e-5, 1.708, 1.986},
  };
}

TEST(AccountantTest, PublishedPldFiguresAreMet) {
  for (const Anchor& anchor : Anchors()) {
    EXPECT_NEAR(Epsilon({anchor.event}, anchor.delta, Accountant::kPld), anchor.pld,
                5e-4 + 1e-3 * anchor.pld);
  }
}

TEST(AccountantTest, PublishedRdpFiguresAreMet) {
  for (const Anchor& anchor : Anchors()) {
    const double epsilon = Epsilon({anchor.event}, anchor.delta, Accountant::kRdp);

    EXPECT_LE(epsilon, anchor.rdp + 6e-4);
    EXPECT_GE(epsilon, anchor.rdp * 0.999);
  }
}

// A known trap: an accountant that takes the relation and ignores it gives 3.756 for both.
TEST(AccountantTest, ReplacingOneCostsMoreThanAddingOrRemovingOneWithEveryAccountant) {
  const PrivacyEvent add_remove = Event(1.0, 3.0, 5);
  const PrivacyEvent replace_one = Event(1.0, 3.0, 5, Adjacency::kReplaceOne);

  EXPECT_NEAR(Epsilon({add_remove}, 1e-6, Accountant::kAnalytic), 3.508, 6e-4);
  EXPECT_NEAR(Epsilon({add_remove}, 1e-6, Accountant::kPld), 3.508, 4e-3);
  EXPECT_NEAR(Epsilon({add_remove}, 1e-6, Accountant::kRdp), 3.756, 6e-4);
  EXPECT_NEAR(Epsilon({replace_one}, 1e-6, Accountant::kAnalytic), 7.750, 6e-4);
  EXPECT_NEAR(Epsilon({replace_one}, 1e-6, Accountant::kPld), 7.750, 8e-3);
  EXPECT_GE(Epsilon({replace_one}, 1e-6, Accountant::kRdp), 7.750);
  EXPECT_LE(Epsilon({replace_one}, 1e-6, Accountant::kRdp), 7.750 * 1.1);
}

TEST(AccountantTest, WithoutSamplingReplacingOneIsHalfTheNoise) {
  for (const Accountant accountant : {Accountant::kPld, Accountant::kRdp, Accountant::kAnalytic}) {
    const double replaced = Epsilon({Event(1.0, 4.0, 7, Adjacency::kReplaceOne)}, 1e-5, accountant);

    EXPECT_NEAR(replaced, Epsilon({Event(1.0, 2.0, 7)}, 1e-5, accountant), 1e-3 * replaced)
        << NameOf(accountant);
  }
}

TEST(AccountantTest, FixedSizeCohortsAreNeverAmplified) {
  const PrivacyEvent everyone{.noise_multiplier = 2.0, .steps = 50};
  PrivacyEvent fixed = everyone;
  fixed.sampling = Sampling::FixedSize();
  const PrivacyEvent poisson = Event(0.1, 2.0, 50);

  for (const Accountant accountant : {Accountant::kPld, Accountant::kRdp, Accountant::kAnalytic}) {
    EXPECT_EQ(Epsilon({fixed}, 1e-5, accountant), Epsilon({everyone}, 1e-5, accountant));
  }
  EXPECT_GT(Epsilon({fixed}, 1e-5, Accountant::kPld),
            5.0 * Epsilon({poisson}, 1e-5, Accountant::kPld));
  EXPECT_EQ(BestAccountant(Sampling::FixedSize()), Accountant::kAnalytic);
  EXPECT_EQ(BestAccountant(Sampling::Poisson(0.1)), Accountant::kPld);
}

// 1 / sigma^2 adds up: 10 steps of 2 and 30 of 4 are one of sqrt(1 / (10/4 + 30/16)).
TEST(AccountantTest, DifferentNoisesComposeAsTheSumOfTheirInverseSquares) {
  const std::vector<PrivacyEvent> events = {Event(1.0, 2.0, 10), Event(1.0, 4.0, 30)};
  const double exact = AnalyticEpsilon(std::sqrt(10.0 / 4.0 + 30.0 / 16.0), 1e-5);

  EXPECT_NEAR(Epsilon(events, 1e-5, Accountant::kAnalytic), exact, 1e-6);
  EXPECT_GE(Epsilon(events, 1e-5, Accountant::kPld), exact);
  EXPECT_LE(Epsilon(events, 1e-5, Accountant::kPld), exact * 1.005);
  EXPECT_GE(Epsilon(events, 1e-5, Accountant::kRdp), exact);
}

TEST(AccountantTest, SplittingStepsIntoEventsChangesNothing) {
  const std::vector<PrivacyEvent> together = {Event(0.05, 1.2, 500)};
  const std::vector<PrivacyEvent> apart = {Event(0.05, 1.2, 100), Event(0.05, 1.2, 150),
                                           Event(0.05, 1.2, 250)};

  EXPECT_DOUBLE_EQ(Epsilon(together, 1e-6, Accountant::kPld),
                   Epsilon(apart, 1e-6, Accountant::kPld));
  EXPECT_NEAR(Epsilon(together, 1e-6, Accountant::kRdp), Epsilon(apart, 1e-6, Accountant::kRdp),
              1e-9);
}

TEST(AccountantTest, RoundsWithOldAndNewNoiseLieBetweenAllOldAndAllNew) {
  for (const Adjacency adjacency : {Adjacency::kAddRemove, Adjacency::kReplaceOne}) {
    const PrivacyEvent loud = Event(0.05, 1.5, 200, adjacency);
    const PrivacyEvent quiet = Event(0.05, 1.0, 200, adjacency);

    const double all_loud = Epsilon({loud, loud}, 1e-6, Accountant::kPld);
    const double mixed = Epsilon({loud, quiet}, 1e-6, Accountant::kPld);
    const double all_quiet = Epsilon({quiet, quiet}, 1e-6, Accountant::kPld);

    EXPECT_GT(mixed, all_loud);
    EXPECT_LT(mixed, all_quiet);
    EXPECT_LT(mixed, Epsilon({loud, quiet}, 1e-6, Accountant::kRdp));
  }
}

TEST(AccountantTest, NoEventsCostNothing) {
  for (const Accountant accountant : {Accountant::kPld, Accountant::kRdp, Accountant::kAnalytic}) {
    EXPECT_EQ(Epsilon({}, 1e-5, accountant), 0.0);
  }
}

TEST(AccountantTest, ImpossibleRequestsAreRefusedWithTheReason) {
  struct Refusal {
    PrivacyEvent event;
    double delta;
    std::string reason;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Refusal refusals[] = {
      {Event(0.1, 1.0, 10), 0.0, "delta must be"},
      {Event(0.1, 1.0, 10), -1e-5, "delta must be"},
      {Event(0.1, 1.0, 10), 1.0, "delta must be"},
      {Event(0.1, 1.0, 10), nan, "delta must be"},
      {Event(0.1, 0.0, 10), 1e-5, "noise multiplier must be"},
      {Event(0.1, -1.0, 10), 1e-5, "noise multiplier must be"},
      {Event(0.1, nan, 10), 1e-5, "noise multiplier must be"},
      {Event(0.1, 2e6, 10), 1e-5, "noise multiplier must be"},
      {Event(0.0, 1.0, 10), 1e-5, "sampling rate must be"},
      {Event(-0.1, 1.0, 10), 1e-5, "sampling rate must be"},
      {Event(1.1, 1.0, 10), 1e-5, "sampling rate must be"},
      {Event(nan, 1.0, 10), 1e-5, "sampling rate must be"},
      {Event(0.1, 1.0, 0), 1e-5, "number of steps must be"},
      {Event(0.1, 1.0, -5), 1e-5, "number of steps must be"},
      {Event(0.1, 1.0, kStepsMax + 1), 1e-5, "number of steps must be"},
  };

  for (const Refusal& refusal : refusals) {
    for (const Accountant accountant :
         {Accountant::kPld, Accountant::kRdp, Accountant::kAnalytic}) {
      EXPECT_THAT(EpsilonFor({&refusal.event, 1}, refusal.delta, accountant).status(),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(refusal.reason)));
    }
  }
}

TEST(AccountantTest, TheAnalyticAccountantRefusesSampling) {
  const PrivacyEvent event = Event(0.5, 1.0, 10);

  EXPECT_THAT(EpsilonFor({&event, 1}, 1e-5, Accountant::kAnalytic).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("use pld")));
}

TEST(AccountantTest, EventsUnderDifferentAdjacenciesAreRefused) {
  const std::vector<PrivacyEvent> events = {Event(1.0, 1.0, 1),
                                            Event(1.0, 1.0, 1, Adjacency::kReplaceOne)};

  for (const Accountant accountant : {Accountant::kPld, Accountant::kRdp, Accountant::kAnalytic}) {
    EXPECT_THAT(EpsilonFor(events, 1e-5, accountant).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("one adjacency")));
  }
}

TEST(AccountantTest, TooManyStepsOfAllEventsTogetherAreRefused) {
  const std::vector<PrivacyEvent> events = {Event(1.0, 1.0, kStepsMax), Event(1.0, 2.0, 1)};

  EXPECT_THAT(EpsilonFor(events, 1e-5, Accountant::kPld).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("together")));
}

}  // namespace
}  // namespace skerry
