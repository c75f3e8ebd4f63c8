// Rules over several keys of a job.
#pragma once

#include "common/config/config_error.h"
#include "common/config/job_config.h"

namespace skerry {

// Adds an error for each rule that is broken. A rule is skipped if a key it looks at was refused
// before, because its value is then not what the user wrote.
void CheckJobRules(const JobConfig& job, ConfigDiagnostics& diagnostics);

}  // namespace skerry
