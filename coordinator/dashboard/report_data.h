// A run as the JSON that the report's page draws. Its form is private to page/report.js.
#pragma once

#include <string>

#include "coordinator/store/run_history.h"

namespace skerry {

// Safe inside <script type="application/json">: no '<', '>' or '&' stands in it, whatever peers,
// file names and the job have put into texts.
std::string ReportData(const RunHistory& history);

}  // namespace skerry
