// `skerry-coordinator run`, from options to exit code.
#pragma once

#include "coordinator/shell/run_setup.h"

namespace skerry {

// Exit codes: 0 the job is complete, 1 it failed, 2 the job or the options are wrong and nothing
// was started, 130 it was interrupted and can be resumed. Results go to stdout, the rest to stderr.
int RunCommand(const RunOptions& options);

}  // namespace skerry
