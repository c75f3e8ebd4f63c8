// Bounds what one node can contribute, for differential privacy of whole nodes (McMahan et al.
// 2018, "Learning Differentially Private Recurrent Language Models", flat clipping).
#pragma once

#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace skerry {

// L2 norm over all coordinates together. Fails with kOutOfRange if a value is not finite.
absl::StatusOr<double> UpdateNorm(std::span<const float> update);

// Scales `update` so that its L2 norm over all coordinates together is at most `clip_norm`, which
// must be a normal float above 0; one that is shorter by a millionth stays as it is. Fails with
// kOutOfRange, and leaves it unchanged, if a value is not finite: min(1, C / NaN) would not clip.
absl::Status ClipUpdate(std::span<float> update, double clip_norm);

}  // namespace skerry
