#include "common/privacy/adaptive_clip.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace skerry {

absl::StatusOr<AdaptiveClip> AdaptiveClip::Create(const AdaptiveClipConfig& config, double smallest,
                                                  double largest) {
  if (!(config.initial >= smallest && config.initial <= largest)) {
    return absl::InvalidArgumentError(fmt::format(
        "privacy.adaptive_clip.initial must be within {:.4g}, below which updates drown in their "
        "rounding, and privacy.clip_norm {:.4g}, got {:.4g}: lower encoding.range or change them",
        smallest, largest, config.initial));
  }
  AdaptiveClip clip;
  clip.config_ = config;
  // Inwards, whatever the rounding to float.
  clip.smallest_ = std::nextafter(static_cast<float>(smallest), static_cast<float>(largest));
  clip.largest_ = static_cast<float>(largest);
  if (static_cast<double>(clip.largest_) > largest) {
    clip.largest_ = std::nextafter(clip.largest_, 0.0f);
  }
  return clip;
}

float AdaptiveClip::Next(float clip, double fraction) const {
  const double step = config_.learning_rate * (fraction - config_.target_quantile);
  const double next = static_cast<double>(clip) * std::exp(-step);
  // Noise may have made the fraction anything; the bounds hold for all of it.
  return std::clamp(static_cast<float>(next), smallest_, largest_);
}

}  // namespace skerry
