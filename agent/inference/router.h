// Which experts a token goes to, and with what weight (DeepSeek-V2, section 2.2; DeepSeek-V3,
// section 2.1.2).
#pragma once

#include <span>
#include <vector>

#include "agent/inference/model_config.h"

namespace skerry {

struct RoutedExpert {
  size_t expert = 0;
  float weight = 0;

  bool operator==(const RoutedExpert&) const = default;
};

// `logits`: the gate's, one for each expert. `bias`: e_score_correction_bias, which chooses but
// does not weigh; with Routing::kNoAuxTc only, else empty. ExpertConfig::per_token experts, by
// number. Of equal scores the lower number is taken.
std::vector<RoutedExpert> RouteToExperts(const ExpertConfig& config, std::span<const float> logits,
                                         std::span<const float> bias);

}  // namespace skerry
