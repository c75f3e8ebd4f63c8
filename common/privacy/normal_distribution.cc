#include "common/privacy/normal_distribution.h"

#include <cmath>
#include <numbers>

namespace skerry {
namespace {

// Below this, erfc and exp(x^2 / 2) are both normal doubles and their product is as good as they
// are.
constexpr double kContinuedFractionFrom = 12.0;

const double kLogSqrtTwoPi = 0.5 * std::log(2.0 * std::numbers::pi);

}  // namespace

double MillsRatio(double x) {
  if (x < kContinuedFractionFrom) {
    return std::sqrt(std::numbers::pi / 2.0) * std::exp(0.5 * x * x) *
           std::erfc(x / std::numbers::sqrt2);
  }
  // Laplace's continued fraction 1 / (x + 1 / (x + 2 / (x + 3 / ...))), evaluated from behind; its
  // error after k steps falls as exp(-2 x sqrt(2 k)), which is below 1e-60 here.
  double tail = x;
  for (int k = 40; k >= 1; --k) tail = x + k / tail;
  return 1.0 / tail;
}

double LogNormalCdf(double x) {
  if (x > 0.0) return std::log1p(-0.5 * std::erfc(x / std::numbers::sqrt2));
  return std::log(MillsRatio(-x)) - 0.5 * x * x - kLogSqrtTwoPi;
}

}  // namespace skerry
