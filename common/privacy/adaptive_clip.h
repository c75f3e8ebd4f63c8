// A clip norm that follows a quantile of the nodes' update norms (Andrew et al. 2021,
// "Differentially Private Learning with Adaptive Clipping", algorithm 1): each node also says
// whether its norm was within the clip, as +-1/2, and from the noisy sum of these bits
// C <- C exp(-learning_rate (fraction - target_quantile)).
// Its noise is in common/secagg/job_encoding.h. A value; any thread.
#pragma once

#include "absl/status/statusor.h"
#include "common/config/job_config.h"

namespace skerry {

class AdaptiveClip {
 public:
  // The clip stays within `smallest` (above 0) and `largest`. Fails with kInvalidArgument if
  // config.initial does not.
  static absl::StatusOr<AdaptiveClip> Create(const AdaptiveClipConfig& config, double smallest,
                                             double largest);

  // Clips are floats, so that a checkpoint holds them exactly.
  float initial() const { return static_cast<float>(config_.initial); }

  // After a round with `clip`; `fraction` of the cohort was within it, but for the noise.
  float Next(float clip, double fraction) const;

  bool operator==(const AdaptiveClip&) const = default;

 private:
  AdaptiveClip() = default;

  AdaptiveClipConfig config_;
  float smallest_ = 0;
  float largest_ = 0;
};

}  // namespace skerry
