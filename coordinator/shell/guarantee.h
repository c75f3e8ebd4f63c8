// What a job promises to whom, in words: for `check`, the live view and the report.
#pragma once

#include <string>

#include "common/config/job_config.h"

namespace skerry {

// A few sentences on one line: what is promised, against whom, and what is not.
std::string GuaranteeOf(const JobConfig& job);

// The same as comment lines of a job file, at most 100 columns wide, behind "# guarantee: ".
std::string GuaranteeComment(const JobConfig& job);

}  // namespace skerry
