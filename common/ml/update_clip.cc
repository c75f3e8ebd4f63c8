#include "common/ml/update_clip.h"

#include <cmath>

#include "common/base/status.h"

namespace skerry {
namespace {

// A scaled value is rounded by 2^-24 of itself at the most and the norm, a sum in double precision,
// by less than 2^-23 below 2^30 parameters; the limit is lower than the clip norm by both.
constexpr double kRoundingRoom = 0x1p-22;

}  // namespace

absl::StatusOr<double> UpdateNorm(std::span<const float> update) {
  double square = 0.0;  // no sum of squares of finite floats overflows
  for (const float value : update) {
    square += static_cast<double>(value) * static_cast<double>(value);
  }
  if (!std::isfinite(square)) {
    return absl::OutOfRangeError(
        "a value of the update is not a finite number, which no clipping bounds: lower "
        "training.optimizer.learning_rate");
  }
  return std::sqrt(square);
}

absl::Status ClipUpdate(std::span<float> update, double clip_norm) {
  SKERRY_ASSERT(clip_norm > 0.0);
  SKERRY_ASSIGN_OR_RETURN(const double norm, UpdateNorm(update));
  const double limit = clip_norm * (1.0 - kRoundingRoom);
  if (norm <= limit) return absl::OkStatus();
  const double factor = limit / norm;
  for (float& value : update) value = static_cast<float>(static_cast<double>(value) * factor);
  return absl::OkStatus();
}

}  // namespace skerry
