// What the epsilon of a run covers, figure by figure: for the report, so that nobody takes a number
// for private that is not. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/config/job_config.h"

namespace skerry {

enum class Disclosure {
  kPrivate,     // covered by epsilon: follows from noisy sums
  kPublic,      // follows from nothing that a node has
  kNotPrivate,  // depends on nodes or their data, and no noise covers it
  kNotShown,    // would tell about a secret cohort
};
// "private", "public", "not private", "not shown".
std::string_view NameOf(Disclosure disclosure);

struct FigureMark {
  std::string figure;
  Disclosure disclosure = Disclosure::kPublic;
  std::string why;
};

// Every figure of the report, of a job with differential privacy.
std::vector<FigureMark> MarksOf(const JobConfig& job);

}  // namespace skerry
