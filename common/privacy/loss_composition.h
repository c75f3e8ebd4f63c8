// The privacy loss of many steps, from the grids of its steps: a convolution by Fourier transforms,
// whose rounding and wrap-around are bounded and counted.
//
// The masses are tilted by exp(t loss) before they are transformed and tilted back afterwards. An
// epsilon whose delta is 1e-12 then lies in the middle of the tilted distribution and not in a tail
// below the rounding noise of the transform.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/privacy/loss_grid.h"

namespace skerry {

struct GridSteps {
  LossGrid grid;
  int64_t steps = 1;
};

// Where the composed loss is looked for: from `low` to `high`. The rates are exponents of the
// Chernoff bounds for what lies outside; any positive ones are valid, good ones are LossMoments'.
struct CompositionWindow {
  double tilt = 0.0;
  double low = 0.0;
  double high = 0.0;
  double rate_above = 1.0;
  double tilted_rate_above = 1.0;
  double tilted_rate_below = 1.0;
};

// Of the transforms. Extended is long double, a few times slower than double; it is needed where
// delta is tiny and the loss has so heavy a tail that no tilt brings epsilon to the middle.
enum class Precision { kDouble, kExtended };

// The composition of the steps of all parts, whose grids have one spacing. Two bounds on
// delta(epsilon) = E[(1 - exp(epsilon - S))+], S the true composed loss.
class ComposedLoss {
 public:
  ComposedLoss(const std::vector<GridSteps>& parts, const CompositionWindow& window,
               Precision precision);

  // The smallest epsilon >= 0 whose delta is surely at most `delta`; +infinity if there is none.
  double UpperEpsilon(double delta) const;

  // An epsilon >= 0 such that every smaller one surely has a greater delta; 0 says nothing.
  double LowerEpsilon(double delta) const;

  // By how much rounding may have changed delta(epsilon).
  double NoiseDelta(double epsilon) const;

 private:
  struct Scan;

  template <typename Real>
  void Compose(const std::vector<GridSteps>& parts);
  void BoundOutside(const std::vector<GridSteps>& parts, const CompositionWindow& window);
  double Loss(size_t index) const;

  double spacing_;
  double origin_ = 0.0;
  int64_t first_ = 0;
  size_t length_ = 0;
  double tilt_;
  double log_tilt_total_ = 0.0;  // K(tilt) of the upper approximation
  std::vector<double> upper_;    // tilted masses
  std::vector<double> lower_;
  double noise_ = 0.0;          // how far any tilted mass can be off
  double mass_factor_ = 1.0;    // how far any true mass can be off, as a factor
  double delta_outside_ = 0.0;  // cut off or beyond the window, counts in full
  double wrapped_ = 0.0;        // tilted mass that may have wrapped around
};

}  // namespace skerry
