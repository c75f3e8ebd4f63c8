// What holds for every reading of a configuration, a job's or an agent's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/config/config_error.h"

namespace skerry::fuzz {

// Input: lines "#set a.b=value" at the beginning are overrides, all of it is the YAML text.
inline std::vector<std::string> OverridesIn(std::string_view text) {
  constexpr std::string_view kStart = "#set ";
  std::vector<std::string> overrides;
  while (text.starts_with(kStart) && overrides.size() < 8) {
    const size_t end = text.find('\n') == std::string_view::npos ? text.size() : text.find('\n');
    overrides.emplace_back(text.substr(kStart.size(), end - kStart.size()));
    text.remove_prefix(end == text.size() ? end : end + 1);
  }
  return overrides;
}

// Either a configuration or errors, each a line of bounded length and not too many.
inline void CheckErrors(bool has_config, const std::vector<ConfigError>& errors) {
  SKERRY_ASSERT(has_config == errors.empty());
  SKERRY_ASSERT(errors.size() <= 101);
  for (const ConfigError& error : errors) {
    SKERRY_ASSERT(!error.message.empty() && error.message.size() <= 1000);
    SKERRY_ASSERT(!error.source.empty() && error.line >= 0);
    for (const char c : error.message) SKERRY_ASSERT(c != '\n' && c != '\0' && c != '\x1b');
  }
}

}  // namespace skerry::fuzz
