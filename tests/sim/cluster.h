// One run of a simulated cluster from start to end, and the rules it must have kept.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/run_log.h"
#include "tests/sim/scenario.h"

namespace skerry {

struct RunResult {
  RunLog log;
  std::vector<std::string> violations;  // empty: every rule was kept
  bool is_given_up = false;             // ended before its last round, for a reason that is allowed
  Duration took{};                      // virtual time
  uint64_t message_count = 0;
  std::string model_sha256;
  std::vector<float> model;
};

RunResult RunCluster(const Scenario& scenario);

}  // namespace skerry
