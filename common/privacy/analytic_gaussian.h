// The exact privacy of the Gaussian mechanism without sampling: Balle and Wang, "Improving the
// Gaussian Mechanism for Differential Privacy" (ICML 2018), theorem 8. Several releases compose to
// one: mechanisms with standard deviations sigma_i (in units of the sensitivity) are together as
// private as a single one with 1 / sigma^2 = sum of 1 / sigma_i^2. Pure functions.
//
// Throughout, mu = sensitivity / standard deviation of the noise, and mu of a composition is the
// root of the sum of squares. Everything is computed from logarithms, so neither a delta of 1e-300
// nor an epsilon of 1e6 overflows or cancels.
#pragma once

namespace skerry {

// log of delta(epsilon) = Phi(mu/2 - epsilon/mu) - exp(epsilon) Phi(-mu/2 - epsilon/mu).
// mu > 0, epsilon >= 0.
double AnalyticLogDelta(double mu, double epsilon);

// The smallest epsilon >= 0 for which the mechanism is (epsilon, delta)-private, rounded up by less
// than 1e-9 of itself. mu > 0, 0 < delta < 1.
double AnalyticEpsilon(double mu, double delta);

// The largest mu that is (epsilon, delta)-private, rounded down by less than 1e-8 of itself.
// epsilon > 0, 0 < delta < 1.
double AnalyticMu(double epsilon, double delta);

}  // namespace skerry
