#include "common/privacy/calibration.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/privacy/privacy_event.h"

namespace skerry {
namespace {

constexpr double kEpsilonPrecision = 5e-4;
constexpr double kNoisePrecision = 1e-9;

struct Point {
  double noise = 0.0;
  double epsilon = 0.0;
};

// Between a noise that is too small and one that is enough: where epsilon would be a quarter of the
// precision below the target, were it a power of the noise, as it nearly is; the middle in every
// third step, so that a bad interpolation cannot stall the search.
double Between(const Point& small, const Point& enough, double target, int step) {
  const double log_width = std::log(enough.noise / small.noise);
  const double middle = small.noise * std::exp(0.5 * log_width);
  if (step % 3 == 2 || enough.epsilon <= 0.0) return middle;
  const double aim = target * (1.0 - 0.5 * kEpsilonPrecision);
  const double share = std::log(small.epsilon / aim) / std::log(small.epsilon / enough.epsilon);
  return small.noise * std::exp(log_width * std::clamp(share, 0.001, 0.999));
}

}  // namespace

absl::StatusOr<double> FindNoise(const EpsilonOfNoise& epsilon_of, double target, double guess) {
  Point enough{.noise = std::clamp(guess, kNoiseMultiplierMin, kNoiseMultiplierMax)};
  SKERRY_ASSIGN_OR_RETURN(enough.epsilon, epsilon_of(enough.noise));
  Point small = enough;
  while (enough.epsilon > target) {
    if (enough.noise >= kNoiseMultiplierMax) {
      return absl::InvalidArgumentError(fmt::format(
          "epsilon {} cannot be reached with a noise multiplier of up to {}: allow a larger "
          "epsilon or delta, or fewer steps",
          target, kNoiseMultiplierMax));
    }
    small = enough;
    enough.noise = std::min(1.05 * enough.noise * enough.epsilon / target, kNoiseMultiplierMax);
    SKERRY_ASSIGN_OR_RETURN(enough.epsilon, epsilon_of(enough.noise));
  }
  while (small.epsilon <= target) {
    enough = small;
    if (enough.noise <= kNoiseMultiplierMin) return enough.noise;
    // Towards the target, but by no more than a factor of two, as little noise is costly to
    // account.
    const double ratio = std::clamp(enough.epsilon / target, 0.5, 0.98);
    small.noise = std::max(enough.noise * ratio, kNoiseMultiplierMin);
    SKERRY_ASSIGN_OR_RETURN(small.epsilon, epsilon_of(small.noise));
  }
  for (int step = 0; enough.epsilon < target * (1.0 - kEpsilonPrecision) &&
                     enough.noise > small.noise * (1.0 + kNoisePrecision);
       ++step) {
    Point between{.noise = Between(small, enough, target, step)};
    if (between.noise <= small.noise || between.noise >= enough.noise) break;
    SKERRY_ASSIGN_OR_RETURN(between.epsilon, epsilon_of(between.noise));
    (between.epsilon <= target ? enough : small) = between;
  }
  return enough.noise;
}

}  // namespace skerry
