// report.html: one file with everything about a run, that needs no network and no program but a
// browser. The page (page/) and Chart.js are compiled in; only the data differs from run to run.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "coordinator/store/run_history.h"

namespace skerry {

std::string HtmlReport(const RunHistory& history);

// Writes report.html into the run directory from what run.db holds, also while the run goes on.
absl::Status WriteReport(const std::string& run_dir);

}  // namespace skerry
