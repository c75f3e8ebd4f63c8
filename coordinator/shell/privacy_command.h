// `skerry-coordinator privacy`: the epsilon of so much noise, or the noise for so much epsilon.
#pragma once

#include <cstdint>
#include <optional>

#include "common/privacy/accountant.h"

namespace skerry {

// Exactly one of noise_multiplier and epsilon is given; the other is computed.
struct PrivacyCommandOptions {
  std::optional<double> noise_multiplier;
  std::optional<double> epsilon;
  double sampling_rate = 1.0;
  int64_t steps = 1;
  double delta = 0.0;
  // Without one: analytic, which is exact, if there is no sampling, otherwise pld.
  std::optional<Accountant> accountant;
  Adjacency adjacency = Adjacency::kAddRemove;
  bool is_json = false;
};

// Prints the result on stdout and returns 0, or why the request is impossible on stderr and returns
// 2.
int PrivacyCommand(const PrivacyCommandOptions& options);

}  // namespace skerry
