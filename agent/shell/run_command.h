// `skerry-agent run`, from options to exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/config/agent_config.h"

namespace skerry {

struct VirtualNodes {
  int64_t first = 0;
  int64_t last = 0;  // inclusive
};

struct AgentRunOptions {
  AgentConfig config;
  // Nodes whose data is a part of the job's own data set, by position; config.nodes is empty then.
  std::optional<VirtualNodes> virtual_nodes;
  bool ends_with_job = false;  // --once
  bool is_quiet = false;
};

// "0-99". Fails with kInvalidArgument if it is no range.
absl::StatusOr<VirtualNodes> ParseVirtualNodes(const std::string& text);

// Exit codes: 0 done, 1 failed, 2 the configuration or the keys are wrong.
int RunCommand(const AgentRunOptions& options);

}  // namespace skerry
