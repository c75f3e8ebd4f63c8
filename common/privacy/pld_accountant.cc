#include "common/privacy/pld_accountant.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/base/status.h"
#include "common/privacy/loss_composition.h"
#include "common/privacy/loss_moments.h"

namespace skerry {
namespace {

// Cutting steps off and the composed loss's range may cost this fraction of delta.
constexpr double kCutFraction = 1e-4;
// exp of minus this, as a fraction of delta, may be what wraps around of the tilted distribution.
constexpr double kWrapExponent = 11.0;
// Rounding that may change delta by more than this fraction of it calls for extended precision.
constexpr double kNoiseFraction = 1e-4;
constexpr double kGridPointsMax = 1 << 20;
constexpr double kWindowPointsMin = 512.0;

// The gap that ends the search at once, and the one that is acceptable at the end of it.
constexpr double kGapAimed = 5e-4;
constexpr double kGapAimedAbsolute = 2e-5;
constexpr double kGapMax = 5e-3;
constexpr double kGapMaxAbsolute = 1e-4;

bool IsClose(const EpsilonBounds& bounds, double relative, double absolute) {
  return bounds.upper - bounds.lower <= std::max(relative * bounds.upper, absolute);
}

std::vector<PairSteps> PairsOf(std::span<const PrivacyEvent> events, LossDirection direction) {
  std::vector<PairSteps> pairs;
  std::vector<const PrivacyEvent*> seen;
  for (const PrivacyEvent& event : events) {
    const auto same = std::find_if(seen.begin(), seen.end(), [&](const PrivacyEvent* other) {
      return other->noise_multiplier == event.noise_multiplier &&
             other->sampling.amplifying_rate() == event.sampling.amplifying_rate();
    });
    if (same != seen.end()) {
      pairs[static_cast<size_t>(same - seen.begin())].steps += event.steps;
      continue;
    }
    seen.push_back(&event);
    pairs.push_back(
        {.pair = LossPair(direction, event.noise_multiplier, event.sampling.amplifying_rate()),
         .steps = event.steps});
  }
  return pairs;
}

// Bounds for one direction, by ever finer grids.
class DirectionSearch {
 public:
  DirectionSearch(std::vector<PairSteps> pairs, double delta)
      : pairs_(std::move(pairs)),
        delta_(delta),
        tail_mass_(kCutFraction * delta / Steps()),
        moments_(pairs_, tail_mass_) {}

  // Stops early if the upper bound falls below `irrelevant_below`: another direction's lower bound.
  EpsilonBounds Find(double irrelevant_below) {
    // A first guess, which may be much too large. It would make the grid too coarse, which the
    // first result corrects.
    double epsilon = std::max(0.0, moments_.RenyiEpsilon(delta_));
    EpsilonBounds best{.lower = 0.0, .upper = epsilon};
    if (best.upper <= irrelevant_below) return best;
    double refinement = 1.0;
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      const double gap_before = best.upper - best.lower;
      const EpsilonBounds found = Compute(epsilon, refinement);
      best.lower = std::max(best.lower, found.lower);
      best.upper = std::min(best.upper, found.upper);
      if (IsClose(best, kGapAimed, kGapAimedAbsolute) || best.upper <= irrelevant_below) break;
      if (is_limited_) break;
      // Once rounding noise or the cut rules, finer grids do not help.
      const bool is_stuck = attempt > 1 && best.upper - best.lower > 0.7 * gap_before;
      if (is_stuck && IsClose(best, kGapMax, kGapMaxAbsolute)) break;
      // The discretisation's part of the gap falls with the square of the spacing.
      const double aimed = std::max(kGapAimed * best.upper, kGapAimedAbsolute);
      if (attempt > 0) {
        refinement *= std::clamp(0.7 * std::sqrt(aimed / (best.upper - best.lower)), 0.05, 0.7);
      }
      epsilon = best.upper;
    }
    return best;
  }

 private:
  static constexpr int kAttemptsMax = 8;

  double Steps() const {
    double steps = 0.0;
    for (const PairSteps& part : pairs_) steps += static_cast<double>(part.steps);
    return steps;
  }

  EpsilonBounds Compute(double epsilon, double refinement) {
    const double tilt = moments_.TiltFor(epsilon);
    // Connect-the-dots adds about spacing^2 / 6 to the variance of a step's loss and the cells of
    // the lower bound take spacing^2 / 12 off. Under the tilt, epsilon moves by half the tilt times
    // the composed variance's change.
    const double tolerance = std::max(0.5 * kGapAimed * epsilon, kGapAimedAbsolute);
    double spacing = refinement * std::sqrt(8.0 * tolerance / (tilt * Steps()));

    // At larger rates the grid's own moments are not the loss's any more.
    const double rate_max = 1.0 / (spacing * std::sqrt(Steps()));
    const LossMoments::Bound above =
        moments_.Above(0.0, -std::log(kCutFraction * delta_), rate_max);
    // Tilted mass m near epsilon is a delta of m exp(K(tilt) - tilt epsilon).
    const double wrap_exponent =
        kWrapExponent + std::max(0.0, moments_.At(tilt).k - tilt * epsilon - std::log(delta_));
    const LossMoments::Bound tilted_above = moments_.Above(tilt, wrap_exponent, rate_max);
    const LossMoments::Bound below = moments_.Below(tilt, wrap_exponent, rate_max);
    const double low = std::min(below.position, epsilon);
    const double high = std::max(above.position, tilted_above.position);
    spacing = std::min(spacing, (high - low) / kWindowPointsMin);
    double points = (high - low) / spacing;
    for (const PairSteps& part : pairs_) {
      points = std::max(points, GridPoints(part.pair, spacing, tail_mass_));
    }
    is_limited_ = points > kGridPointsMax;
    if (is_limited_) spacing *= points / kGridPointsMax;

    std::vector<GridSteps> grids;
    for (const PairSteps& part : pairs_) {
      grids.push_back({.grid = MakeLossGrid(part.pair, spacing, tail_mass_), .steps = part.steps});
    }
    const CompositionWindow window{.tilt = tilt,
                                   .low = low,
                                   .high = high,
                                   .rate_above = above.rate,
                                   .tilted_rate_above = tilted_above.rate,
                                   .tilted_rate_below = below.rate};
    const ComposedLoss composed(grids, window, Precision::kDouble);
    const EpsilonBounds bounds = BoundsOf(composed);
    if (composed.NoiseDelta(bounds.upper) < kNoiseFraction * delta_) return bounds;
    return BoundsOf(ComposedLoss(grids, window, Precision::kExtended));
  }

  EpsilonBounds BoundsOf(const ComposedLoss& composed) const {
    return {.lower = composed.LowerEpsilon(delta_), .upper = composed.UpperEpsilon(delta_)};
  }

  std::vector<PairSteps> pairs_;
  double delta_;
  double tail_mass_;
  LossMoments moments_;
  bool is_limited_ = false;
};

}  // namespace

absl::StatusOr<EpsilonBounds> PldEpsilon(std::span<const PrivacyEvent> events, double delta) {
  SKERRY_RETURN_IF_ERROR(CheckEvents(events));
  SKERRY_RETURN_IF_ERROR(CheckDelta(delta));
  if (events.empty()) return EpsilonBounds{};

  EpsilonBounds bounds;
  if (events.front().adjacency == Adjacency::kReplaceOne) {
    // The pair is its own mirror image, so one direction is both.
    bounds = DirectionSearch(PairsOf(events, LossDirection::kReplace), delta).Find(0.0);
  } else {
    bounds = DirectionSearch(PairsOf(events, LossDirection::kRemove), delta).Find(0.0);
    const bool is_mirror_image = std::all_of(
        events.begin(), events.end(),
        [](const PrivacyEvent& event) { return event.sampling.amplifying_rate() == 1.0; });
    if (!is_mirror_image) {
      const EpsilonBounds adding =
          DirectionSearch(PairsOf(events, LossDirection::kAdd), delta).Find(bounds.lower);
      bounds.lower = std::max(bounds.lower, adding.lower);
      bounds.upper = std::max(bounds.upper, adding.upper);
    }
  }
  return bounds;
}

}  // namespace skerry
