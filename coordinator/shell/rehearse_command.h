// `skerry-coordinator rehearse`: one round with the real nodes, the job's model and every phase, in
// which nothing is learned. Finds out before the first real round what would fail or be slow.
#pragma once

#include <chrono>

#include "coordinator/shell/run_setup.h"

namespace skerry {

struct RehearseOptions {
  RunOptions run;  // of `run`, without a folder: what a rehearsal writes is thrown away
  std::chrono::seconds wait{60};  // for nodes that are missing or make no progress
};

// Returns the exit code: 0 if every node is ready, 1 if not, 2 for bad usage.
int RehearseCommand(const RehearseOptions& options);

}  // namespace skerry
