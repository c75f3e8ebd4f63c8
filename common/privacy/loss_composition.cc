#include "common/privacy/loss_composition.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>

#include "common/base/status.h"
#include "common/privacy/fourier.h"

namespace skerry {
namespace {

// log of the sum of masses[i] exp(t * loss of i).
double LogMoment(const LossGrid& grid, const std::vector<double>& masses, double t) {
  const double step = t * grid.spacing;
  const double start = t * grid.LossAt(0);
  std::vector<double> exponents;
  exponents.reserve(masses.size());
  for (size_t i = 0; i < masses.size(); ++i) {
    if (masses[i] <= 0.0) continue;
    exponents.push_back(start + step * static_cast<double>(i) + std::log(masses[i]));
  }
  if (exponents.empty()) return -std::numeric_limits<double>::infinity();
  const double largest = *std::max_element(exponents.begin(), exponents.end());
  double sum = 0.0;
  for (const double exponent : exponents) sum += std::exp(exponent - largest);
  return largest + std::log(sum);
}

// The larger of both approximations' logarithms of E[exp(t S)].
double LogMoment(const std::vector<GridSteps>& parts, double t) {
  double upper = 0.0;
  double lower = 0.0;
  for (const GridSteps& part : parts) {
    const auto steps = static_cast<double>(part.steps);
    upper += steps * LogMoment(part.grid, part.grid.upper, t);
    lower += steps * LogMoment(part.grid, part.grid.lower, t);
  }
  return std::max(upper, lower);
}

// One part's spectrum: of the upper approximation and, in the same transform, of the lower one.
template <typename Real>
struct Spectrum {
  std::vector<std::complex<Real>> upper;  // of frequencies 0..length / 2
  std::vector<std::complex<Real>> lower;
  std::vector<double> magnitude;  // a bound on the exact magnitude of both
  double norm = 0.0;              // of what was transformed
};

size_t Wrap(int64_t index, size_t length) {
  const auto modulus = static_cast<int64_t>(length);
  return static_cast<size_t>(((index % modulus) + modulus) % modulus);
}

template <typename Real>
Spectrum<Real> Transform(const Fourier<Real>& fourier, const LossGrid& grid, double tilt,
                         double log_total, size_t length) {
  std::vector<std::complex<Real>> tilted(length);
  for (size_t i = 0; i < grid.upper.size(); ++i) {
    const double factor = std::exp(tilt * grid.LossAt(i) - log_total);
    // Only the sum's place modulo the length matters, so a step may wrap around too.
    tilted[Wrap(grid.first + static_cast<int64_t>(i), length)] +=
        std::complex<Real>(grid.upper[i] * factor, grid.lower[i] * factor);
  }
  Spectrum<Real> spectrum;
  for (const std::complex<Real>& value : tilted) {
    spectrum.norm += static_cast<double>(std::norm(value));
  }
  spectrum.norm = std::sqrt(spectrum.norm);

  std::vector<std::complex<Real>> transformed(length);
  fourier.Forward(tilted, transformed);
  const double error =
      fourier.RelativeError() * spectrum.norm * std::sqrt(static_cast<double>(length));
  for (size_t k = 0; k <= length / 2; ++k) {
    const std::complex<Real> here = transformed[k];
    const std::complex<Real> mirrored = std::conj(transformed[(length - k) % length]);
    spectrum.upper.push_back((here + mirrored) * Real(0.5));
    spectrum.lower.push_back((here - mirrored) * std::complex<Real>(0, Real(-0.5)));
    spectrum.magnitude.push_back(
        static_cast<double>(std::max(std::abs(spectrum.upper[k]), std::abs(spectrum.lower[k]))) +
        error);
  }
  return spectrum;
}

template <typename Real>
std::complex<Real> Power(const std::complex<Real>& base, Real exponent) {
  const Real magnitude = std::abs(base);
  if (magnitude == Real(0)) return Real(0);
  return std::polar(std::pow(magnitude, exponent), exponent * std::arg(base));
}

// How far an entry of a composition can be off. A power errs by
// |a^T - b^T| <= T max(|a|, |b|)^(T-1) |a - b|, where |a - b| is the transform's error, known in
// the Euclidean norm; Cauchy and Schwarz's inequality gives the sum over the frequencies. The
// power's own rounding, mostly of T times the angle, is pointwise, and the inverse transform's
// error again one in the norm. `log_magnitude` is of the product's bound.
template <typename Real>
double NoiseOf(const std::vector<GridSteps>& parts, const std::vector<Spectrum<Real>>& spectra,
               const std::vector<double>& log_magnitude, double relative_error) {
  const size_t half = log_magnitude.size() - 1;
  const auto length = 2.0 * static_cast<double>(half);
  std::vector<double> squares(parts.size(), 0.0);
  double magnitude_sum = 0.0;
  double magnitude_squares = 0.0;
  for (size_t k = 0; k <= half; ++k) {
    const double count = k == 0 || k == half ? 1.0 : 2.0;
    const double magnitude = std::exp(log_magnitude[k]);
    magnitude_sum += count * magnitude;
    magnitude_squares += count * magnitude * magnitude;
    for (size_t i = 0; i < parts.size(); ++i) {
      const double others = magnitude / spectra[i].magnitude[k];
      squares[i] += count * others * others;
    }
  }
  const auto unit = static_cast<double>(std::numeric_limits<Real>::epsilon() / 2);
  double noise = 2.0 * relative_error * std::sqrt(magnitude_squares / length);
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto steps = static_cast<double>(parts[i].steps);
    noise += steps * relative_error * spectra[i].norm * std::sqrt(squares[i] / length);
    noise += 8.0 * unit * steps * std::numbers::pi * magnitude_sum / length;
  }
  return noise;
}

}  // namespace

ComposedLoss::ComposedLoss(const std::vector<GridSteps>& parts, const CompositionWindow& window,
                           Precision precision)
    : spacing_(parts.front().grid.spacing), tilt_(window.tilt) {
  for (const GridSteps& part : parts) {
    SKERRY_ASSERT(part.grid.spacing == spacing_);
    const auto steps = static_cast<double>(part.steps);
    origin_ += steps * part.grid.origin;
    delta_outside_ += steps * part.grid.infinite_mass;
    mass_factor_ += 2.0 * steps * kMassError;
  }
  first_ = static_cast<int64_t>(std::floor((window.low - origin_) / spacing_)) - 2;
  const auto last = static_cast<int64_t>(std::ceil((window.high - origin_) / spacing_)) + 2;
  length_ = FastFourierLength(static_cast<size_t>(last - first_) + 1);
  precision == Precision::kDouble ? Compose<double>(parts) : Compose<long double>(parts);
  BoundOutside(parts, window);
}

template <typename Real>
void ComposedLoss::Compose(const std::vector<GridSteps>& parts) {
  using Complex = std::complex<Real>;
  const Fourier<Real> fourier(length_);
  const size_t half = length_ / 2;

  std::vector<Spectrum<Real>> spectra;
  std::vector<Complex> upper(half + 1, Complex(1));
  std::vector<Complex> lower(half + 1, Complex(1));
  std::vector<double> log_magnitude(half + 1, 0.0);
  for (const GridSteps& part : parts) {
    const auto steps = static_cast<double>(part.steps);
    const double log_total = LogMoment(part.grid, part.grid.upper, tilt_);
    log_tilt_total_ += steps * log_total;
    spectra.push_back(Transform(fourier, part.grid, tilt_, log_total, length_));
    const Spectrum<Real>& spectrum = spectra.back();
    for (size_t k = 0; k <= half; ++k) {
      upper[k] *= Power(spectrum.upper[k], Real(steps));
      lower[k] *= Power(spectrum.lower[k], Real(steps));
      log_magnitude[k] += steps * std::log(spectrum.magnitude[k]);
    }
  }
  noise_ = NoiseOf(parts, spectra, log_magnitude, fourier.RelativeError());

  std::vector<Complex> product(length_);
  for (size_t k = 0; k < length_; ++k) {
    const bool is_mirrored = k > half;
    const size_t at = is_mirrored ? length_ - k : k;
    const Complex u = is_mirrored ? std::conj(upper[at]) : upper[at];
    const Complex v = is_mirrored ? std::conj(lower[at]) : lower[at];
    product[k] = u + Complex(0, 1) * v;
  }
  std::vector<Complex> composed(length_);
  fourier.Inverse(product, composed);
  upper_.resize(length_);
  lower_.resize(length_);
  for (size_t i = 0; i < length_; ++i) {
    const Complex value = composed[Wrap(first_ + static_cast<int64_t>(i), length_)];
    upper_[i] = static_cast<double>(value.real() / Real(length_));
    lower_[i] = static_cast<double>(value.imag() / Real(length_));
  }
}

void ComposedLoss::BoundOutside(const std::vector<GridSteps>& parts,
                                const CompositionWindow& window) {
  const double below = Loss(0);
  const double above = Loss(length_);
  delta_outside_ +=
      std::exp(LogMoment(parts, window.rate_above) - window.rate_above * above) * mass_factor_;
  wrapped_ = std::exp(LogMoment(parts, tilt_ + window.tilted_rate_above) - log_tilt_total_ -
                      window.tilted_rate_above * above) +
             std::exp(LogMoment(parts, tilt_ - window.tilted_rate_below) - log_tilt_total_ +
                      window.tilted_rate_below * below);
}

double ComposedLoss::Loss(size_t index) const {
  return origin_ + spacing_ * static_cast<double>(first_ + static_cast<int64_t>(index));
}

// Sums over the losses above the current grid point, which moves down from the window's end.
// Everything is in units of exp(log_unit), so that nothing over- or underflows near epsilon.
struct ComposedLoss::Scan {
  explicit Scan(const ComposedLoss& scanned) : loss(scanned) {
    const auto peak = std::max_element(loss.upper_.begin(), loss.upper_.end());
    reference = loss.Loss(static_cast<size_t>(peak - loss.upper_.begin()));
    log_unit = loss.log_tilt_total_ - loss.tilt_ * reference;
  }

  // Takes the mass at grid point `index` in and moves to the grid point below it.
  void Take(size_t index, double tilted_mass) {
    const double mass = tilted_mass * std::exp(-loss.tilt_ * (loss.Loss(index) - reference));
    const double step = -std::expm1(-loss.spacing_);
    delta += step * (discounted + mass);
    discounted = (1.0 - step) * (discounted + mass);
  }

  // Where in the cell above the current grid point, which is at `loss_below`, delta(epsilon) is
  // `target`; it is above that at the grid point and not at the next.
  double Solve(double loss_below, double target) const {
    return loss_below + std::log1p((delta - target) / discounted);
  }

  const ComposedLoss& loss;
  double reference = 0.0;
  double log_unit = 0.0;
  double delta = 0.0;       // sum of mass * (1 - exp(current - loss))
  double discounted = 0.0;  // sum of mass * exp(current - loss)
};

double ComposedLoss::NoiseDelta(double epsilon) const {
  // The sum over the losses above epsilon of noise * exp(K - tilt * loss).
  return noise_ * std::exp(log_tilt_total_ - tilt_ * epsilon) / -std::expm1(-tilt_ * spacing_);
}

double ComposedLoss::UpperEpsilon(double delta) const {
  if (delta <= delta_outside_) return std::numeric_limits<double>::infinity();
  Scan scan(*this);
  const double target = (delta - delta_outside_) / mass_factor_ * std::exp(-scan.log_unit);
  for (size_t i = upper_.size(); i-- > 0;) {
    scan.Take(i, std::max(0.0, upper_[i] + noise_));
    const double current = Loss(i) - spacing_;
    if (scan.delta > target) return std::max(0.0, scan.Solve(current, target));
    if (current <= 0.0) return 0.0;
  }
  return std::max(0.0, Loss(0));
}

double ComposedLoss::LowerEpsilon(double delta) const {
  Scan scan(*this);
  const double target = delta * mass_factor_ * std::exp(-scan.log_unit);
  for (size_t i = lower_.size(); i-- > 0;) {
    scan.Take(i, std::max(0.0, lower_[i] - noise_));
    const double current = Loss(i) - spacing_;
    // Mass that wrapped around into the window is of the victim's making only in appearance.
    const double wrapped = wrapped_ * std::exp(-tilt_ * (current - scan.reference));
    if (scan.delta > target + wrapped) {
      return std::max(0.0, scan.Solve(current, target + wrapped));
    }
    if (current <= 0.0) return 0.0;
  }
  return 0.0;
}

}  // namespace skerry
