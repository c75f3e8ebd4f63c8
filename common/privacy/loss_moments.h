// Chernoff bounds of a composed privacy loss: where it can be, and which exponential tilt centres
// it on a given epsilon. They choose the grid and the range of the exact computation
// (loss_composition.h), which then checks them on its own numbers; nothing here needs to be tight.
#pragma once

#include <cstdint>
#include <vector>

#include "common/privacy/loss_pair.h"

namespace skerry {

// `pair` composed `steps` times.
struct PairSteps {
  LossPair pair;
  int64_t steps = 1;
};

// K(t) = log E[exp(t S)] of the composed loss S, drawn from P, whose single steps are cut where
// they lie with a probability of less than `tail_mass` each. K(t) / t is the Renyi divergence of
// order 1 + t, so these are the bounds of Renyi differential privacy.
class LossMoments {
 public:
  LossMoments(const std::vector<PairSteps>& parts, double tail_mass);

  struct Value {
    double k = 0.0;           // K(t)
    double derivative = 0.0;  // K'(t), the mean of S tilted by exp(t S)
  };
  Value At(double t) const;

  // The bound on epsilon at `delta` that Renyi differential privacy gives (Canonne, Kamath and
  // Steinke, "The Discrete Gaussian for Differential Privacy", proposition 12), at the best order.
  double RenyiEpsilon(double delta) const;

  // The saddle point of delta(epsilon), which is the integral of
  // exp(K(t) - t epsilon) / (t (1 + t)) over a vertical line: tilted by it, the losses that matter
  // to epsilon are the likely ones.
  double TiltFor(double epsilon) const;

  // The smallest b that Chernoff's bound gives with P_t(S > b) <= exp(-exponent), and the largest a
  // with P_t(S < a) <= exp(-exponent), where P_t is the law of S tilted by exp(t S), t >= 0. Rates
  // above `rate_max` are not considered.
  struct Bound {
    double position = 0.0;
    double rate = 0.0;  // the minimising exponent of the bound
  };
  Bound Above(double t, double exponent, double rate_max) const;
  Bound Below(double t, double exponent, double rate_max) const;

 private:
  struct Nodes {
    std::vector<double> losses;
    std::vector<double> masses;
    double steps = 1.0;
  };
  std::vector<Nodes> parts_;
};

}  // namespace skerry
