// An agent's own configuration from YAML, as strict as a job's (job_loader.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/agent_config.h"
#include "common/config/config_error.h"

namespace skerry {

// The configuration, or at least one error.
struct AgentReading {
  std::optional<AgentConfig> agent;
  std::vector<ConfigError> errors;
};

AgentReading ReadAgent(std::string_view text, const std::string& source,
                       const std::vector<std::string>& overrides = {});

absl::StatusOr<AgentConfig> ParseAgent(std::string_view text, const std::string& source,
                                       const std::vector<std::string>& overrides = {});

absl::StatusOr<AgentConfig> LoadAgent(const std::string& path,
                                      const std::vector<std::string>& overrides = {});

}  // namespace skerry
