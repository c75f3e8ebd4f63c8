// A job from YAML. Strict: unknown keys, wrong types, values out of range and contradictions are
// errors with file and line, all of them at once, and no job comes back.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/config_error.h"
#include "common/config/job_config.h"

namespace skerry {

// The job, or at least one error.
struct JobReading {
  std::optional<JobConfig> job;
  std::vector<ConfigError> errors;
};

// `overrides` are "a.b=value", applied in order before anything is checked; errors in them name
// "--set a.b" in place of file and line. `source` is what errors call the text.
JobReading ReadJob(std::string_view text, const std::string& source,
                   const std::vector<std::string>& overrides = {});

// The same with the errors as kInvalidArgument, one a line.
absl::StatusOr<JobConfig> ParseJob(std::string_view text, const std::string& source,
                                   const std::vector<std::string>& overrides = {});

// Reads the file first; its own errors (kNotFound, kResourceExhausted) name the path.
absl::StatusOr<JobConfig> LoadJob(const std::string& path,
                                  const std::vector<std::string>& overrides = {});

// Rules over several keys, and the model's shapes. For a job made in code: single values are taken
// to be in range. ReadJob has done this already.
std::vector<ConfigError> ValidateJob(const JobConfig& job, const std::string& source);

}  // namespace skerry
