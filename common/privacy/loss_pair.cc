#include "common/privacy/loss_pair.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "common/base/status.h"
#include "common/privacy/normal_distribution.h"

namespace skerry {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// From here on 1 is less than a rounding error beside exp(t / 2).
constexpr double kLargeExponent = 40.0;

double NormalTail(double x) { return 0.5 * std::erfc(x / std::numbers::sqrt2); }

// log(sinh(x)) for x > 0, without overflow.
double LogSinh(double x) {
  return x < 1.0 ? std::log(std::sinh(x)) : x + std::log1p(-std::exp(-2.0 * x)) - std::numbers::ln2;
}

}  // namespace

LossPair::LossPair(LossDirection direction, double sigma, double rate)
    : direction_(direction),
      sigma_(sigma),
      rate_(rate),
      log_rate_(std::log(rate)),
      half_precision_(0.5 / (sigma * sigma)) {
  SKERRY_ASSERT(sigma > 0.0 && rate > 0.0 && rate <= 1.0);
}

double LossPair::LogMixture(double t) const {
  if (rate_ == 1.0) return t;
  if (t > kLargeExponent) return t + log_rate_ + std::log1p((1.0 - rate_) / rate_ * std::exp(-t));
  if (t < -1.0 && rate_ > 0.5) return std::log((1.0 - rate_) + rate_ * std::exp(t));
  return std::log1p(rate_ * std::expm1(t));
}

double LossPair::InverseLogMixture(double value) const {
  if (rate_ == 1.0) return value;
  if (value > kLargeExponent) {
    return value - log_rate_ + std::log1p(-(1.0 - rate_) * std::exp(-value));
  }
  const double scaled = std::expm1(value) / rate_;
  return scaled <= -1.0 ? -kInfinity : std::log1p(scaled);
}

double LossPair::Loss(double x) const {
  switch (direction_) {
    case LossDirection::kRemove:
      return LogMixture((2.0 * x - 1.0) * half_precision_);
    case LossDirection::kAdd:
      return -LogMixture((-2.0 * x - 1.0) * half_precision_);
    case LossDirection::kReplace:
      break;
  }
  const double exponent = 2.0 * x * half_precision_;
  if (rate_ == 1.0) return 2.0 * exponent;
  if (std::abs(exponent) > 1.0) {
    return LogMixture(exponent - half_precision_) - LogMixture(-exponent - half_precision_);
  }
  // As one logarithm of the quotient, because the two above are nearly equal here.
  const double difference = 2.0 * std::exp(-half_precision_) * std::sinh(exponent);
  return std::log1p(rate_ * difference / (1.0 + rate_ * std::expm1(-exponent - half_precision_)));
}

double LossPair::Position(double loss) const {
  switch (direction_) {
    case LossDirection::kRemove:
      return 0.5 + InverseLogMixture(loss) / (2.0 * half_precision_);
    case LossDirection::kAdd:
      return -(0.5 + InverseLogMixture(-loss) / (2.0 * half_precision_));
    case LossDirection::kReplace:
      break;
  }
  // With E = exp(x / sigma^2) and k = q exp(-1 / (2 sigma^2)), the loss's definition is
  // k E^2 - (1-q) (exp(loss) - 1) E - k exp(loss) = 0, whose positive root is
  // log E = loss / 2 + asinh((1-q) sinh(loss / 2) / k).
  const double size = std::abs(loss);
  double exponent = size / 2.0;
  if (rate_ < 1.0 && size > 0.0) {
    const double log_argument =
        std::log1p(-rate_) - log_rate_ + LogSinh(size / 2.0) + half_precision_;
    exponent += log_argument > kLargeExponent ? log_argument + std::numbers::ln2
                                              : std::asinh(std::exp(log_argument));
  }
  return std::copysign(exponent / (2.0 * half_precision_), loss);
}

double LossPair::LogDensity(double x) const {
  const double log_normal =
      -x * x * half_precision_ - std::log(sigma_) - 0.5 * std::log(2.0 * std::numbers::pi);
  if (direction_ == LossDirection::kAdd) return log_normal;
  return log_normal + LogMixture((2.0 * x - 1.0) * half_precision_);
}

double LossPair::UpperTail(double x) const {
  if (direction_ == LossDirection::kAdd) return NormalTail(x / sigma_);
  return (1.0 - rate_) * NormalTail(x / sigma_) + rate_ * NormalTail((x - 1.0) / sigma_);
}

double LossPair::LowerTail(double x) const {
  if (direction_ == LossDirection::kAdd) return NormalTail(-x / sigma_);
  return (1.0 - rate_) * NormalTail(-x / sigma_) + rate_ * NormalTail((1.0 - x) / sigma_);
}

double LossPair::LossOfBound(double width) const {
  if (direction_ == LossDirection::kReplace || rate_ == 1.0) return 0.0;
  // A fixed point for kRemove, of which kAdd is the mirror image. Each step takes in a little more
  // mass, of larger loss, and the values rise.
  double loss = std::log1p(-rate_);
  for (int i = 0; i < 50; ++i) {
    const double x = 0.5 + InverseLogMixture(loss + width / 2.0) / (2.0 * half_precision_);
    if (std::isinf(x)) break;
    const double log_ratio = LogNormalCdf((x - 1.0) / sigma_) - LogNormalCdf(x / sigma_);
    loss = std::log1p(rate_ * std::expm1(log_ratio));
  }
  return direction_ == LossDirection::kRemove ? loss : -loss;
}

double LossPair::UpperPoint(double mass) const {
  double inside = 0.0;
  double outside = 1.0 + sigma_;
  while (UpperTail(outside) > mass) outside = 2.0 * outside;
  for (int i = 0; i < 40; ++i) {
    const double middle = 0.5 * (inside + outside);
    (UpperTail(middle) > mass ? inside : outside) = middle;
  }
  return outside;
}

double LossPair::LowerPoint(double mass) const {
  double inside = 1.0;
  double outside = -sigma_;
  while (LowerTail(outside) > mass) outside = 2.0 * outside;
  for (int i = 0; i < 40; ++i) {
    const double middle = 0.5 * (inside + outside);
    (LowerTail(middle) > mass ? inside : outside) = middle;
  }
  return outside;
}

}  // namespace skerry
