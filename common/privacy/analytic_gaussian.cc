#include "common/privacy/analytic_gaussian.h"

#include <cmath>
#include <numbers>

#include "common/base/status.h"
#include "common/privacy/normal_distribution.h"

namespace skerry {
namespace {

constexpr double kRelativePrecision = 1e-12;
// Round a result to its safe side by far more than the arithmetic can have erred. Mu has the wider
// margin, so that its own epsilon, rounded up, is still within the one it was found for.
constexpr double kEpsilonMargin = 1e-10;
constexpr double kMuMargin = 2e-9;

}  // namespace

double AnalyticLogDelta(double mu, double epsilon) {
  SKERRY_ASSERT(mu > 0.0 && epsilon >= 0.0);
  const double near = epsilon / mu - mu / 2.0;  // -(mu/2 - epsilon/mu)
  const double far = near + mu;                 // -(-mu/2 - epsilon/mu), positive
  // exp(epsilon) phi(far) = phi(near), so both terms share the factor phi(near) and only Mills'
  // ratios are subtracted: nothing overflows however large epsilon is.
  const double log_density = -0.5 * near * near - 0.5 * std::log(2.0 * std::numbers::pi);
  if (near < 0.0) {
    const double log_first = LogNormalCdf(-near);
    const double log_second = log_density + std::log(MillsRatio(far));
    return log_first + std::log1p(-std::exp(log_second - log_first));
  }
  return log_density + std::log(MillsRatio(near) - MillsRatio(far));
}

double AnalyticEpsilon(double mu, double delta) {
  SKERRY_ASSERT(mu > 0.0 && delta > 0.0 && delta < 1.0);
  const double log_delta = std::log(delta);
  if (AnalyticLogDelta(mu, 0.0) <= log_delta) return 0.0;
  double low = 0.0;
  double high = mu * mu / 2.0 + mu;
  while (AnalyticLogDelta(mu, high) > log_delta) {
    low = high;
    high *= 2.0;
  }
  while (high - low > kRelativePrecision * high) {
    const double middle = low + 0.5 * (high - low);
    if (middle <= low || middle >= high) break;
    (AnalyticLogDelta(mu, middle) > log_delta ? low : high) = middle;
  }
  return high * (1.0 + kEpsilonMargin);
}

double AnalyticMu(double epsilon, double delta) {
  SKERRY_ASSERT(epsilon > 0.0 && delta > 0.0 && delta < 1.0);
  const double log_delta = std::log(delta);
  double low = 1.0;
  while (AnalyticLogDelta(low, epsilon) > log_delta) low /= 2.0;
  double high = 2.0 * low;
  while (AnalyticLogDelta(high, epsilon) <= log_delta) high *= 2.0;
  while (high - low > kRelativePrecision * high) {
    const double middle = low + 0.5 * (high - low);
    if (middle <= low || middle >= high) break;
    (AnalyticLogDelta(middle, epsilon) <= log_delta ? low : high) = middle;
  }
  return low * (1.0 - kMuMargin);
}

}  // namespace skerry
