// The standard normal distribution far out in its tails, where Phi(x) itself is not a double.
#pragma once

namespace skerry {

// log Phi(x), Phi(x) = P(N(0, 1) <= x), for every finite x.
double LogNormalCdf(double x);

// Mills' ratio (1 - Phi(x)) / phi(x), phi the density; +infinity where that overflows (x < -38).
double MillsRatio(double x);

}  // namespace skerry
