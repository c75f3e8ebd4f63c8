#include "common/privacy/fourier.h"

#include <cmath>
#include <limits>

#include <kissfft/kissfft.hh>

#include "common/base/status.h"

namespace skerry {

size_t FastFourierLength(size_t n) {
  for (size_t length = n + n % 2;; length += 2) {
    size_t rest = length;
    for (const size_t prime : {2u, 3u, 5u}) {
      while (rest % prime == 0 && rest > 1) rest /= prime;
    }
    if (rest == 1) return length;
  }
}

template <typename Real>
struct Fourier<Real>::Tables {
  kissfft<Real> forward;
  kissfft<Real> inverse;
};

template <typename Real>
Fourier<Real>::Fourier(size_t length)
    : length_(length),
      tables_(new Tables{kissfft<Real>(length, false), kissfft<Real>(length, true)}) {
  SKERRY_ASSERT(length == FastFourierLength(length));
}

template <typename Real>
Fourier<Real>::~Fourier() = default;

template <typename Real>
void Fourier<Real>::Forward(std::span<const std::complex<Real>> in,
                            std::span<std::complex<Real>> out) const {
  SKERRY_ASSERT(in.size() == length_ && out.size() == length_);
  tables_->forward.transform(in.data(), out.data());
}

template <typename Real>
void Fourier<Real>::Inverse(std::span<const std::complex<Real>> in,
                            std::span<std::complex<Real>> out) const {
  SKERRY_ASSERT(in.size() == length_ && out.size() == length_);
  tables_->inverse.transform(in.data(), out.data());
}

template <typename Real>
double Fourier<Real>::RelativeError() const {
  // Each of at most log2(n) stages is unitary up to a factor and errs by the rounding of its
  // additions and by its twiddle factors (Higham, "Accuracy and Stability of Numerical Algorithms",
  // section 24.1). Kissfft's factors come from one product with a rounded step, at most
  // 2 pi * 1.5 units off; with the arithmetic of a butterfly that stays below 16 units a stage.
  const auto unit = static_cast<double>(std::numeric_limits<Real>::epsilon() / 2);
  return 16.0 * unit * std::log2(static_cast<double>(length_));
}

template class Fourier<double>;
template class Fourier<long double>;

}  // namespace skerry
