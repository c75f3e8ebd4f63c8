#include "agent/shell/convert_command.h"

#include <fmt/format.h>

#include "common/base/log.h"

namespace skerry {

int ConvertCommand(const Llama2cFiles& files, const std::string& folder) {
  const absl::Status converted = ConvertLlama2c(files, folder);
  if (converted.ok()) {
    LogInfo(fmt::format("{} is written", folder));
    return 0;
  }
  LogError(std::string(converted.message()));
  const bool is_usage = absl::IsInvalidArgument(converted) || absl::IsNotFound(converted) ||
                        absl::IsAlreadyExists(converted) || absl::IsResourceExhausted(converted);
  return is_usage ? 2 : 1;
}

}  // namespace skerry
