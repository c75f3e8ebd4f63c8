// Chooses the next token from its logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "common/base/rng.h"

namespace skerry {

struct SamplingOptions {
  double temperature = 0;  // 0: the most likely token
  int64_t top_k = 0;       // only among so many of the most likely; 0: all
  double top_p = 1;        // only among the most likely that have this share together

  // kInvalidArgument names the first value out of range.
  absl::Status Validate() const;
};

class Sampler {
 public:
  Sampler(const SamplingOptions& options, Rng rng) : options_(options), rng_(rng) {}

  // Of equally likely tokens the lower id is the more likely.
  int64_t Choose(std::span<const float> logits);

 private:
  SamplingOptions options_;
  Rng rng_;
  std::vector<size_t> order_;   // scratch
  std::vector<double> shares_;  // likewise
};

}  // namespace skerry
