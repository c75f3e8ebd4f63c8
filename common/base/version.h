// The version of this software, for logs, run directories and `--version`.
#pragma once

#include <string_view>

namespace skerry {

inline constexpr std::string_view kVersion = SKERRY_VERSION;

}  // namespace skerry
