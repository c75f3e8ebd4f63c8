// A job as YAML with every default filled in: what `skerry-coordinator check` prints, what an agent
// is sent and what run.db keeps.
#pragma once

#include <string>

#include "common/config/job_config.h"

namespace skerry {

// One key a line in the order of job_config.h, numbers in the shortest form that reads back to the
// same value. A valid job reads back equal (apart from line numbers), and equal jobs give equal
// text. Keys that do not apply (strategy.mu without fedprox) are left out.
std::string ResolvedYaml(const JobConfig& job);

}  // namespace skerry
