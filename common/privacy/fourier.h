// Complex discrete Fourier transforms of one length, in double or extended precision. The only
// place that includes kissfft.
#pragma once

#include <complex>
#include <cstddef>
#include <memory>
#include <span>

namespace skerry {

// The smallest even length of at least `n` that has no prime factors but 2, 3 and 5: the lengths
// that are transformed in n log n.
size_t FastFourierLength(size_t n);

// One length and its tables. Real is double or long double.
template <typename Real>
class Fourier {
 public:
  explicit Fourier(size_t length);
  ~Fourier();
  Fourier(const Fourier&) = delete;
  Fourier& operator=(const Fourier&) = delete;

  // out[k] = sum over j of in[j] exp(-2 pi i j k / length). The spans have the length of the
  // transform and do not overlap.
  void Forward(std::span<const std::complex<Real>> in, std::span<std::complex<Real>> out) const;

  // The same with exp(+2 pi i j k / length): Inverse of Forward is `length` times the input.
  void Inverse(std::span<const std::complex<Real>> in, std::span<std::complex<Real>> out) const;

  // A bound on the error of either transform: ||computed - exact|| <= RelativeError() ||exact||, in
  // the Euclidean norm.
  double RelativeError() const;

 private:
  struct Tables;

  size_t length_;
  std::unique_ptr<Tables> tables_;
};

extern template class Fourier<double>;
extern template class Fourier<long double>;

}  // namespace skerry
