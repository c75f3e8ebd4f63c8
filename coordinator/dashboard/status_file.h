// status.json in the run directory: what the live view shows, for `skerry-coordinator status` in
// another terminal. Written by the coordinator about once a second, never synced: it is worth
// nothing after a crash, and run.db has the truth.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/dashboard/render.h"
#include "coordinator/dashboard/run_view.h"

namespace skerry {

std::string ViewToJson(const RunView& view);
absl::StatusOr<RunView> ViewFromJson(const std::string& text);

// Replaces the file in one step; readers see the old or the new.
absl::Status WriteStatusFile(const std::string& run_dir, const RunView& view);

// What `status` prints: the live view of a coordinator that is at work, else the last state in
// run.db and a line that says it is not running. For insiders always run.db, which status.json says
// less than if cohorts are secret.
absl::StatusOr<std::string> StatusText(const std::string& run_dir, const RenderOptions& options,
                                       Audience audience = Audience::kEverybody);

// The same as one object: the fields of status.json and `coordinator` {running, process}.
absl::StatusOr<std::string> StatusJson(const std::string& run_dir,
                                       Audience audience = Audience::kEverybody);

}  // namespace skerry
