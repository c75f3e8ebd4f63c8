// `skerry-coordinator check`: is this job right, and what exactly would be run?
#pragma once

#include <string>
#include <vector>

namespace skerry {

// Prints the resolved job and what follows from it on stdout and returns 0, or all errors on stderr
// and returns 2.
int CheckCommand(const std::string& job_path, const std::vector<std::string>& overrides);

}  // namespace skerry
