#include "common/privacy/analytic_gaussian.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/privacy/normal_distribution.h"

namespace skerry {
namespace {

// `expected` to a relative error of `tolerance`.
void ExpectRelative(double actual, double expected, double tolerance) {
  EXPECT_NEAR(actual, expected, tolerance * std::abs(expected));
}

// Values of mpmath with 60 digits.
TEST(NormalDistributionTest, LogarithmOfTheDistributionFunctionHoldsInBothTails) {
  ExpectRelative(LogNormalCdf(-40.0), -804.60844201375379, 1e-13);
  ExpectRelative(LogNormalCdf(-10.0), -53.231285150512471, 1e-13);
  ExpectRelative(LogNormalCdf(-1.0), -1.8410216450092635, 1e-13);
  ExpectRelative(LogNormalCdf(0.0), -0.69314718055994531, 1e-13);
  ExpectRelative(LogNormalCdf(3.0), -0.0013508099647481938, 1e-13);
  ExpectRelative(LogNormalCdf(12.1), -5.2805587674335375e-34, 1e-12);
}

TEST(NormalDistributionTest, MillsRatioIsContinuousWhereItsFormulaChanges) {
  ExpectRelative(MillsRatio(-10.0), 1.2996129473592023e+22, 1e-12);
  ExpectRelative(MillsRatio(3.0), 0.3045902987101033, 1e-13);
  ExpectRelative(MillsRatio(11.9), 0.083452345881792292, 1e-12);
  ExpectRelative(MillsRatio(12.1), 0.082091343275386793, 1e-14);
  ExpectRelative(MillsRatio(1000.0), 0.00099999900000299999, 1e-14);
}

// Theorem 8 of Balle and Wang (2018) in mpmath with 60 digits.
TEST(AnalyticGaussianTest, DeltaIsThatOfTheTheoremFromTinyToHugeMu) {
  struct Point {
    double mu;
    double epsilon;
    double log_delta;
  };
  const Point points[] = {
      {1.0, 1.0, -2.0640664465003905},       {0.01, 0.02, -9.3639635383773235},
      {1e-4, 3e-4, -17.0798764326613},       {5.0, 40.0, -18.545874656445882},
      {30.0, 800.0, -71.769545327594477},    {0.5, 20.0, -799.02292664378086},
      {300.0, 50000.0, -142.67907157008198}, {2.0, 0.0, -0.38171514630212607},
  };

  for (const Point& point : points) {
    EXPECT_NEAR(AnalyticLogDelta(point.mu, point.epsilon), point.log_delta,
                1e-8 + 1e-12 * std::abs(point.log_delta))
        << point.mu << " " << point.epsilon;
  }
}

TEST(AnalyticGaussianTest, EpsilonIsTheClosedFormsInverseAndNeverBelowIt) {
  for (const double mu : {1e-5, 1e-2, 0.3, 1.0, 4.0, 50.0, 1e3}) {
    for (const double delta : {1e-300, 1e-12, 1e-5, 1e-2, 0.3}) {
      const double epsilon = AnalyticEpsilon(mu, delta);

      if (epsilon == 0.0) {
        EXPECT_LE(AnalyticLogDelta(mu, 0.0), std::log(delta)) << mu << " " << delta;
        continue;
      }
      EXPECT_LE(AnalyticLogDelta(mu, epsilon), std::log(delta)) << mu << " " << delta;
      EXPECT_GT(AnalyticLogDelta(mu, epsilon * (1.0 - 1e-9)), std::log(delta))
          << mu << " " << delta;
    }
  }
}

TEST(AnalyticGaussianTest, PublishedFiguresAreMet) {
  // Thirty releases of noise 3 at delta 1e-6; and the classic sigma for (10, 1e-5), which in truth
  // gives 10.39, because its proof needs epsilon < 1.
  EXPECT_NEAR(AnalyticEpsilon(std::sqrt(30.0) / 3.0, 1e-6), 9.85505, 5e-6);
  const double classic_sigma = std::sqrt(2.0 * std::log(1.25 / 1e-5)) / 10.0;
  EXPECT_NEAR(AnalyticEpsilon(1.0 / classic_sigma, 1e-5), 10.39, 5e-3);
}

TEST(AnalyticGaussianTest, MuInvertsEpsilonAndIsRoundedDown) {
  for (const double epsilon : {1e-6, 0.1, 1.0, 8.0, 1e4}) {
    for (const double delta : {1e-12, 1e-5, 1e-2}) {
      const double mu = AnalyticMu(epsilon, delta);

      EXPECT_LE(AnalyticEpsilon(mu, delta), epsilon) << epsilon << " " << delta;
      EXPECT_GE(AnalyticEpsilon(mu * (1.0 + 1e-8), delta), epsilon) << epsilon << " " << delta;
    }
  }
}

}  // namespace
}  // namespace skerry
