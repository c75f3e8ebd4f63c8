#include "common/privacy/loss_moments.h"

#include <algorithm>
#include <cmath>

namespace skerry {
namespace {

constexpr double kRateMin = 1e-9;
constexpr double kRateMax = 1e9;

// Bisects the logarithm of an argument in kRateMin..rate_max for an increasing function: the
// smallest argument where `is_reached` holds, to one part in a thousand, or rate_max.
template <typename Predicate>
double FindRate(double rate_max, const Predicate& is_reached) {
  double low = std::log(kRateMin);
  double high = std::log(rate_max);
  while (high - low > 1e-3) {
    const double middle = 0.5 * (low + high);
    (is_reached(std::exp(middle)) ? high : low) = middle;
  }
  return std::exp(high);
}

}  // namespace

LossMoments::LossMoments(const std::vector<PairSteps>& parts, double tail_mass) {
  for (const PairSteps& part : parts) {
    const LossPair& pair = part.pair;
    const double low = pair.LowerPoint(tail_mass);
    const double high = pair.UpperPoint(tail_mass);
    // The trapezoidal rule converges exponentially for these densities once the step is below both
    // the normal's width and the scale sigma^2 of the loss.
    const double sigma = pair.sigma();
    const double step = std::min(sigma, sigma * sigma) / 4.0;
    const auto count = static_cast<size_t>(std::ceil((high - low) / step)) + 1;
    Nodes nodes{.losses = {}, .masses = {}, .steps = static_cast<double>(part.steps)};
    nodes.losses.reserve(count);
    nodes.masses.reserve(count);
    double total = 0.0;
    for (size_t i = 0; i < count; ++i) {
      const double x = low + (high - low) * static_cast<double>(i) / static_cast<double>(count - 1);
      nodes.losses.push_back(pair.Loss(x));
      nodes.masses.push_back(std::exp(pair.LogDensity(x)));
      total += nodes.masses.back();
    }
    for (double& mass : nodes.masses) mass /= total;
    parts_.push_back(std::move(nodes));
  }
}

LossMoments::Value LossMoments::At(double t) const {
  Value value;
  for (const Nodes& part : parts_) {
    // Losses increase, so the largest exponent is at one of the ends.
    const double largest = std::max(t * part.losses.front(), t * part.losses.back());
    double sum = 0.0;
    double weighted = 0.0;
    for (size_t i = 0; i < part.losses.size(); ++i) {
      const double weight = part.masses[i] * std::exp(t * part.losses[i] - largest);
      sum += weight;
      weighted += weight * part.losses[i];
    }
    // All weight may have underflowed if the end has no mass to speak of.
    if (sum == 0.0) {
      sum = std::max(part.masses.front(), part.masses.back());
      weighted = sum * largest / t;
    }
    value.k += part.steps * (largest + std::log(sum));
    value.derivative += part.steps * weighted / sum;
  }
  return value;
}

double LossMoments::RenyiEpsilon(double delta) const {
  // min over t of (K(t) - log(delta) - log(1+t)) / t + log(t / (1+t)), where the derivative
  // vanishes.
  const double exponent = -std::log(delta);
  const double t = FindRate(kRateMax, [&](double rate) {
    const Value value = At(rate);
    return rate * value.derivative - value.k + std::log1p(rate) >= exponent;
  });
  return (At(t).k + exponent - std::log1p(t)) / t - std::log1p(1.0 / t);
}

double LossMoments::TiltFor(double epsilon) const {
  return FindRate(
      kRateMax, [&](double t) { return At(t).derivative - 1.0 / t - 1.0 / (1.0 + t) >= epsilon; });
}

LossMoments::Bound LossMoments::Above(double t, double exponent, double rate_max) const {
  // min over r of (K(t + r) - K(t) + exponent) / r, where the derivative vanishes.
  const double base = At(t).k;
  const double rate = FindRate(rate_max, [&](double r) {
    const Value value = At(t + r);
    return r * value.derivative - value.k + base >= exponent;
  });
  return {.position = (At(t + rate).k - base + exponent) / rate, .rate = rate};
}

LossMoments::Bound LossMoments::Below(double t, double exponent, double rate_max) const {
  const double base = At(t).k;
  const double rate = FindRate(rate_max, [&](double r) {
    const Value value = At(t - r);
    return base - value.k - r * value.derivative >= exponent;
  });
  return {.position = -(At(t - rate).k - base + exponent) / rate, .rate = rate};
}

}  // namespace skerry
