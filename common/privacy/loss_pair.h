// The worst pair of output distributions of one step, and its privacy loss.
//
// With noise of standard deviation sigma (in units of the clip norm), a unit taken with probability
// q and everything else fixed, only the direction of the unit's contribution matters:
//   kRemove   P = (1-q) N(0) + q N(1),  Q = N(0)               a data set against one without
//   kAdd      P = N(0),                 Q = (1-q) N(0) + q N(1)  the same pair the other way
//   kReplace  P = (1-q) N(0) + q N(1),  Q = (1-q) N(0) + q N(-1)
// (variance sigma^2 throughout). The first two are the pairs of Zhu, Dong and Wang, "Optimal
// Accounting of Differential Privacy via Characteristic Function" (AISTATS 2022); README.md proves
// the third. The loss is log(P(x) / Q(x)) for x drawn from P; x is mirrored for kAdd, so that the
// loss increases in x for all three.
#pragma once

namespace skerry {

enum class LossDirection { kRemove, kAdd, kReplace };

class LossPair {
 public:
  // sigma > 0 and 0 < rate <= 1, checked by the caller.
  LossPair(LossDirection direction, double sigma, double rate);

  double sigma() const { return sigma_; }

  // The loss at x; increasing.
  double Loss(double x) const;

  // Where the loss is `loss`: -infinity or +infinity if it is above or below that everywhere.
  double Position(double loss) const;

  // The logarithm of P's density at x.
  double LogDensity(double x) const;

  // P(X <= x) and P(X > x), each to full relative precision.
  double LowerTail(double x) const;
  double UpperTail(double x) const;

  // With sampling, and but for kReplace, the loss does not go beyond a bound, log(1-q) from above
  // or -log(1-q) from below, and if sigma is small most of the mass lies near it. This is the loss
  // at which an atom in place of the mass within `width` / 2 of itself (and up to the bound) would
  // have the same masses of P and Q. 0 if there is no such bound.
  double LossOfBound(double width) const;

  // Points with LowerTail, or UpperTail, at most `mass` and not much less. 0 < mass < 0.5.
  double LowerPoint(double mass) const;
  double UpperPoint(double mass) const;

 private:
  // log(1 - q + q exp(t)), and its inverse (-infinity if there is none).
  double LogMixture(double t) const;
  double InverseLogMixture(double value) const;

  LossDirection direction_;
  double sigma_;
  double rate_;
  double log_rate_;
  double half_precision_;  // 1 / (2 sigma^2)
};

}  // namespace skerry
