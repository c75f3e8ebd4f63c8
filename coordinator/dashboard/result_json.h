// The one object `run --json` and `simulate --json` print. Its keys are a public interface.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace skerry {

struct RunResult {
  std::string status;  // "completed", "failed", "interrupted"
  int exit_code = 0;
  uint64_t rounds = 0;             // committed
  uint64_t nodes = 0;              // in the roster
  std::optional<double> accuracy;  // of the last evaluated model, 0 to 1
  std::optional<double> loss;
  std::string model_sha256;
  std::optional<double> epsilon;  // spent; absent when privacy is off
  std::optional<double> delta;
  // With secret cohorts: of somebody who sees them, at most. Else there is no such key.
  std::optional<double> epsilon_insider{};
  std::string run_dir;
  double wall_s = 0;
};

// One line without a line end; absent and non-finite numbers are null.
std::string ResultJson(const RunResult& result);

}  // namespace skerry
