#include "common/privacy/rdp_accountant.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/base/status.h"
#include "common/privacy/loss_pair.h"

namespace skerry {
namespace {

constexpr double kNodesMax = 300'000.0;

// Dense where the best orders of common budgets lie, then in steps of a fifth for tiny epsilons.
const std::vector<double>& Orders() {
  static const std::vector<double> orders = [] {
    std::vector<double> list = {1.01, 1.02, 1.03, 1.04, 1.06, 1.08};
    for (int tenths = 11; tenths < 110; ++tenths) list.push_back(tenths / 10.0);
    for (int order = 11; order < 64; ++order) list.push_back(order);
    for (double order = 64.0; order < 20'000.0; order *= 1.2) list.push_back(std::floor(order));
    return list;
  }();
  return orders;
}

double LogSumOfExponentials(const std::vector<double>& exponents) {
  const double largest = *std::max_element(exponents.begin(), exponents.end());
  if (std::isinf(largest)) return largest;
  double sum = 0.0;
  for (const double exponent : exponents) sum += std::exp(exponent - largest);
  return largest + std::log(sum);
}

// log(1 + exp(x)).
double SoftPlus(double x) { return x > 40.0 ? x : std::log1p(std::exp(x)); }

// log E_Q[(P/Q)^n] for P = (1-q) N(0) + q N(1), Q = N(0): the logarithm of
// sum over k of C(n,k) (1-q)^(n-k) q^k exp((k^2-k) / (2 sigma^2)). The weights sum to 1, so that
// sum less 1 is the same with expm1, without the terms k = 0 and 1, and nothing cancels for small
// q.
double LogMomentOfInteger(double sigma, double rate, double n) {
  std::vector<double> exponents;
  for (double k = 2.0; k <= n; k += 1.0) {
    const double power = k * (k - 1.0) / (2.0 * sigma * sigma);
    const double log_power = power > 40.0 ? power : std::log(std::expm1(power));
    const double log_binomial =
        std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0);
    exponents.push_back(log_binomial + k * std::log(rate) + (n - k) * std::log1p(-rate) +
                        log_power);
  }
  return SoftPlus(LogSumOfExponentials(exponents));
}

// log(r^order - 1 - order (r - 1)) for r = exp(loss), which is never negative: the part of r^order
// that remains in the mean over Q, where r has mean 1.
double LogConvexPart(double order, double loss) {
  const double scaled = order * loss;
  if (std::abs(scaled) < 0.1) {
    // sum over k >= 2 of (order^k - order) loss^k / k!
    double sum = 0.0;
    double term = loss;  // loss^k / k!
    double power = order;
    for (int k = 2; k <= 14; ++k) {
      term *= loss / k;
      power *= order;
      sum += (power - order) * term;
    }
    return std::log(sum);
  }
  if (scaled > 40.0) {
    return scaled + std::log1p(-(1.0 + order * std::expm1(loss)) * std::exp(-scaled));
  }
  return std::log(std::expm1(scaled) - order * std::expm1(loss));
}

// log E_Q[(P/Q)^order] by the trapezoidal rule, which converges exponentially: to rounding once the
// step is below sigma / 2.5 for the normal densities, and, for the loss, which is analytic within
// pi sigma^2 of the real line, below sigma^2 / 4 or, where the power amplifies its growth towards
// there, sigma^2 / (0.8 sqrt(order)). Infinity if that takes more than kNodesMax nodes.
double LogMomentByIntegration(const LossPair& pair, double order) {
  const double sigma = pair.sigma();
  const double step = std::min(sigma / 2.5, sigma * sigma / std::max(4.0, 0.8 * std::sqrt(order)));
  // The integrand's bumps lie between -1 and 2 order, each as wide as the normal density.
  const double low = -1.0 - 16.0 * sigma;
  const double high = 2.0 * order + 16.0 * sigma;
  if ((high - low) / step > kNodesMax) return std::numeric_limits<double>::infinity();
  std::vector<double> exponents;
  for (double i = 0.0; low + i * step <= high; i += 1.0) {
    const double x = low + i * step;
    const double loss = pair.Loss(x);
    const double part = LogConvexPart(order, loss);
    if (!std::isnan(part)) exponents.push_back(pair.LogDensity(x) - loss + part);
  }
  return SoftPlus(LogSumOfExponentials(exponents) + std::log(step));
}

}  // namespace

double RenyiDivergence(const PrivacyEvent& event, double order) {
  SKERRY_ASSERT(order > 1.0);
  const double sigma = event.noise_multiplier;
  const double rate = event.sampling.amplifying_rate();
  const bool is_replacing = event.adjacency == Adjacency::kReplaceOne;
  const double sensitivity = is_replacing ? 2.0 : 1.0;
  const double unsampled = order * sensitivity * sensitivity / (2.0 * sigma * sigma);
  if (rate == 1.0) return unsampled;
  double log_moment = 0.0;
  if (!is_replacing && order == std::floor(order)) {
    log_moment = LogMomentOfInteger(sigma, rate, order);
  } else {
    const LossPair pair(is_replacing ? LossDirection::kReplace : LossDirection::kRemove, sigma,
                        rate);
    log_moment = LogMomentByIntegration(pair, order);
  }
  return std::min(unsampled, log_moment / (order - 1.0));
}

absl::StatusOr<double> RdpEpsilon(std::span<const PrivacyEvent> events, double delta) {
  SKERRY_RETURN_IF_ERROR(CheckEvents(events));
  SKERRY_RETURN_IF_ERROR(CheckDelta(delta));
  if (events.empty()) return 0.0;
  double best = std::numeric_limits<double>::infinity();
  for (const double order : Orders()) {
    double divergence = 0.0;
    for (const PrivacyEvent& event : events) {
      divergence += static_cast<double>(event.steps) * RenyiDivergence(event, order);
    }
    // Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (2020),
    // proposition 12.
    const double epsilon =
        divergence + std::log1p(-1.0 / order) - (std::log(delta) + std::log(order)) / (order - 1.0);
    best = std::min(best, epsilon);
  }
  return std::max(0.0, best);
}

}  // namespace skerry
