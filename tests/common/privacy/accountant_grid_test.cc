// The accountants against computations that share nothing with them but the definition of the two
// distributions: one step by search over all half-lines, several steps by plain convolution of
// losses rounded down and up, steps without sampling by the closed form.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/privacy/accountant.h"
#include "common/privacy/analytic_gaussian.h"
#include "common/privacy/pld_accountant.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

enum class Direction { kRemove, kAdd, kReplace };

struct Step {
  double sigma = 1;
  double rate = 1;

  std::string Text() const { return fmt::format("sigma {} rate {}", sigma, rate); }
};

long double Tail(long double x) { return 0.5L * std::erfc(x / std::sqrt(2.0L)); }

// P and Q of the half-line above x.
long double TailOfP(const Step& step, Direction direction, long double x) {
  const long double s = step.sigma;
  const long double q = step.rate;
  const long double plain = Tail(x / s);
  if (direction == Direction::kAdd) return plain;
  return (1 - q) * plain + q * Tail((x - 1) / s);
}
long double TailOfQ(const Step& step, Direction direction, long double x) {
  const long double s = step.sigma;
  const long double q = step.rate;
  const long double plain = Tail(x / s);
  if (direction == Direction::kRemove) return plain;
  return (1 - q) * plain + q * Tail((x + 1) / s);
}

// sup over half-lines of P(A) - exp(epsilon) Q(A): the likelihood ratio rises with x, so no other
// set does better.
long double DeltaOfOneStep(const Step& step, Direction direction, double epsilon) {
  const long double factor = std::exp(static_cast<long double>(epsilon));
  const auto gain = [&](long double x) {
    return TailOfP(step, direction, x) - factor * TailOfQ(step, direction, x);
  };
  const long double reach = 14.0L * step.sigma + 2;
  long double best = 0;
  long double at = 0;
  for (int i = 0; i <= 4000; ++i) {
    const long double x = -reach + 2 * reach * i / 4000;
    if (gain(x) > best) best = gain(x), at = x;
  }
  for (long double width = reach / 2000; width > 1e-12L; width /= 2) {
    for (const long double x : {at - width, at + width}) {
      if (gain(x) > best) best = gain(x), at = x;
    }
  }
  return best;
}

double EpsilonOfOneStep(const Step& step, Adjacency adjacency, double delta) {
  double worst = 0;
  const std::vector<Direction> directions =
      adjacency == Adjacency::kReplaceOne
          ? std::vector<Direction>{Direction::kReplace}
          : std::vector<Direction>{Direction::kRemove, Direction::kAdd};
  for (const Direction direction : directions) {
    double low = 0;
    double high = 400;
    if (DeltaOfOneStep(step, direction, 0) <= delta) continue;
    while (high - low > 1e-6) {
      const double middle = (low + high) / 2;
      (DeltaOfOneStep(step, direction, middle) > delta ? low : high) = middle;
    }
    worst = std::max(worst, low);
  }
  return worst;
}

TEST(AccountantGridTest, OneStepIsNeverBelowTheBestAttackAndHardlyAbove) {
  for (const Adjacency adjacency : {Adjacency::kAddRemove, Adjacency::kReplaceOne}) {
    for (const double sigma : {0.4, 0.8, 1.5, 5.0}) {
      for (const double rate : {1e-3, 0.01, 0.1, 0.5, 0.9, 1.0}) {
        for (const double delta : {1e-3, 1e-5, 1e-9}) {
          const Step step{sigma, rate};
          const PrivacyEvent event{.noise_multiplier = sigma,
                                   .sampling = Sampling::Poisson(rate),
                                   .steps = 1,
                                   .adjacency = adjacency};
          ASSERT_OK_AND_ASSIGN(const EpsilonBounds bounds, PldEpsilon({&event, 1}, delta));
          const double exact = EpsilonOfOneStep(step, adjacency, delta);

          EXPECT_GE(bounds.upper, exact - 2e-6) << step.Text() << " delta " << delta;
          EXPECT_LE(bounds.upper, exact * 1.01 + 1e-3) << step.Text() << " delta " << delta;
          EXPECT_LE(bounds.lower, exact + 2e-6) << step.Text() << " delta " << delta;
        }
      }
    }
  }
}

// ---- several steps -----------------------------------------------------------------------------

// The loss of one step in multiples of kUnit, rounded down or up cell by cell of a fine grid in x.
// What lies outside the grid is an infinite loss if rounding up, and nothing if rounding down.
constexpr double kUnit = 2e-3;

struct Losses {
  int64_t first = 0;  // of mass[0], in units
  std::vector<double> mass;
  double infinite = 0;
  bool is_up = false;
};

Losses LossesOf(const Step& step, Direction direction, bool is_up) {
  const auto loss = [&](long double x) {
    const long double s2 = 2.0L * step.sigma * step.sigma;
    const long double q = step.rate;
    const long double up = 1 - q + q * std::exp((2 * x - 1) / s2);
    const long double down = 1 - q + q * std::exp((-2 * x - 1) / s2);
    if (direction == Direction::kRemove) return std::log(up);
    if (direction == Direction::kAdd) return -std::log(down);
    return std::log(up) - std::log(down);
  };
  constexpr int kCells = 60'000;
  const long double reach = 9.0L * step.sigma + 1;
  std::vector<std::pair<int64_t, double>> placed;
  Losses result;
  result.is_up = is_up;
  result.infinite = is_up ? static_cast<double>(TailOfP(step, direction, reach) + 1 -
                                                TailOfP(step, direction, -reach))
                          : 0;
  for (int i = 0; i < kCells; ++i) {
    const long double left = -reach + 2 * reach * i / kCells;
    const long double right = -reach + 2 * reach * (i + 1) / kCells;
    const auto mass =
        static_cast<double>(TailOfP(step, direction, left) - TailOfP(step, direction, right));
    // The loss rises with x.
    const long double bound =
        is_up ? std::ceil(loss(right) / kUnit) : std::floor(loss(left) / kUnit);
    placed.emplace_back(static_cast<int64_t>(bound), mass);
  }
  result.first = placed.front().first;
  result.mass.assign(static_cast<size_t>(placed.back().first - result.first) + 1, 0.0);
  for (const auto& [place, mass] : placed) {
    result.mass[static_cast<size_t>(place - result.first)] += mass;
  }
  return result;
}

// Of one distribution with itself.
Losses Square(const Losses& a) {
  Losses result{.first = 2 * a.first,
                .mass = std::vector<double>(2 * a.mass.size() - 1),
                .infinite = 2 * a.infinite,
                .is_up = a.is_up};
  for (size_t i = 0; i < a.mass.size(); ++i) {
    if (a.mass[i] < 1e-16) {  // not worth its time: lost, or infinite if rounding up
      if (a.is_up) result.infinite += a.mass[i];
      continue;
    }
    for (size_t j = 0; j < a.mass.size(); ++j) result.mass[i + j] += a.mass[i] * a.mass[j];
  }
  return result;
}

double EpsilonOf(const Losses& losses, double delta) {
  const auto delta_of = [&](double epsilon) {
    double sum = losses.infinite;
    for (size_t i = 0; i < losses.mass.size(); ++i) {
      const double loss = static_cast<double>(losses.first + static_cast<int64_t>(i)) * kUnit;
      if (loss > epsilon) sum += losses.mass[i] * -std::expm1(epsilon - loss);
    }
    return sum;
  };
  if (delta_of(0) <= delta) return 0;
  double low = 0;
  double high = 100;
  while (high - low > 1e-6) {
    const double middle = (low + high) / 2;
    (delta_of(middle) > delta ? low : high) = middle;
  }
  return low;
}

// For 8 steps, rounding down and up bracket epsilon within 8 units.
TEST(AccountantGridTest, EightStepsLieWithinPlainConvolutionsOfRoundedLosses) {
  constexpr double kDelta = 1e-6;
  for (const Adjacency adjacency : {Adjacency::kAddRemove, Adjacency::kReplaceOne}) {
    for (const Step& step : {Step{1.0, 0.05}, Step{2.0, 0.3}, Step{0.8, 0.01}, Step{3.0, 0.9}}) {
      double least = 0;
      double most = 0;
      const std::vector<Direction> directions =
          adjacency == Adjacency::kReplaceOne
              ? std::vector<Direction>{Direction::kReplace}
              : std::vector<Direction>{Direction::kRemove, Direction::kAdd};
      for (const Direction direction : directions) {
        for (const bool is_up : {false, true}) {
          Losses losses = LossesOf(step, direction, is_up);
          for (int doubling = 0; doubling < 3; ++doubling) losses = Square(losses);
          double& bound = is_up ? most : least;
          bound = std::max(bound, EpsilonOf(losses, kDelta));
        }
      }
      const PrivacyEvent event{.noise_multiplier = step.sigma,
                               .sampling = Sampling::Poisson(step.rate),
                               .steps = 8,
                               .adjacency = adjacency};
      ASSERT_OK_AND_ASSIGN(const EpsilonBounds bounds, PldEpsilon({&event, 1}, kDelta));

      EXPECT_LE(most - least, 8 * kUnit * 1.1 + 1e-4) << step.Text();
      EXPECT_GE(bounds.upper, least) << step.Text();
      EXPECT_LE(bounds.upper, most * 1.01 + 1e-3) << step.Text();
      EXPECT_LE(bounds.lower, most) << step.Text();
    }
  }
}

TEST(AccountantGridTest, StepsWithoutSamplingAreThoseOfTheClosedForm) {
  for (const double sigma : {0.3, 1.0, 4.0, 30.0, 100.0}) {
    for (const int64_t steps : {1, 10, 300, 10'000}) {
      for (const double delta : {1e-2, 1e-5, 1e-12}) {
        const PrivacyEvent event{
            .noise_multiplier = sigma, .sampling = Sampling::Everyone(), .steps = steps};
        const double exact = AnalyticEpsilon(std::sqrt(static_cast<double>(steps)) / sigma, delta);
        ASSERT_OK_AND_ASSIGN(const double pld, EpsilonFor({&event, 1}, delta, Accountant::kPld));

        EXPECT_GE(pld, exact * (1 - 1e-9)) << sigma << " " << steps << " " << delta;
        EXPECT_LE(pld, exact * 1.01 + 1e-3) << sigma << " " << steps << " " << delta;
      }
    }
  }
}

// Both bounds come from the accountant here; that they hold is shown above. What is shown is that
// nothing is left open between them over the whole range, and that the looser accountant agrees.
class AccountantRangeTest : public testing::TestWithParam<Adjacency> {};

TEST_P(AccountantRangeTest, BoundsAreCloseAndBelowTheLooserAccountant) {
  for (const double rate : {1e-5, 1e-3, 0.03, 0.5}) {
    for (const double sigma : {0.3, 0.7, 2.0, 20.0, 100.0}) {
      for (const int64_t steps : {1, 100, 10'000}) {
        for (const double delta : {1e-2, 1e-12}) {
          const PrivacyEvent event{.noise_multiplier = sigma,
                                   .sampling = Sampling::Poisson(rate),
                                   .steps = steps,
                                   .adjacency = GetParam()};
          const std::string text =
              fmt::format("rate {} sigma {} steps {} delta {}", rate, sigma, steps, delta);
          ASSERT_OK_AND_ASSIGN(const EpsilonBounds bounds, PldEpsilon({&event, 1}, delta));
          ASSERT_OK_AND_ASSIGN(const double rdp, EpsilonFor({&event, 1}, delta, Accountant::kRdp));

          EXPECT_LE(bounds.upper, bounds.lower * 1.01 + 1e-3) << text;
          EXPECT_LE(bounds.lower, rdp) << text;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Relations, AccountantRangeTest,
                         testing::Values(Adjacency::kAddRemove, Adjacency::kReplaceOne));

}  // namespace
}  // namespace skerry
