// What the coordinator's commands end with (README.md, "Exit codes").
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/base/log.h"

namespace skerry {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitBudget = 3;
inline constexpr int kExitInterrupted = 130;  // by SIGINT; a service stopped by SIGTERM is done

// Logs an error and says whether it is the user's (kExitUsage) or a failure (kExitFailed).
inline int FailWith(const absl::Status& status) {
  LogError(std::string(status.message()));
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
                 absl::IsAlreadyExists(status) || absl::IsPermissionDenied(status)
             ? kExitUsage
             : kExitFailed;
}

}  // namespace skerry
