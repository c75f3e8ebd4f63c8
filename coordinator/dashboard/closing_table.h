// What a run ends with on stdout: a row for each round, then the totals.
#pragma once

#include <string>

#include "coordinator/dashboard/render.h"
#include "coordinator/dashboard/run_view.h"

namespace skerry {

// Beyond 40 rounds the middle is left out and said so; report.html has them all.
std::string ClosingTable(const RunView& view, const RenderOptions& options);

}  // namespace skerry
