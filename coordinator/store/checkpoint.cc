#include "coordinator/store/checkpoint.h"

#include <utility>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/status.h"

namespace skerry {
std::string CheckpointFileName(RoundId round) {
  return fmt::format("round-{:06}.safetensors", round.value());
}

absl::StatusOr<CheckpointFiles> WriteCheckpoint(const std::string& run_dir,
                                                const CheckpointContent& content) {
  const std::string name = CheckpointFileName(content.round);
  CheckpointFiles files;
  SKERRY_RETURN_IF_ERROR(MakeDirectories(run_dir + "/models"));
  if (content.state != nullptr) {
    SKERRY_RETURN_IF_ERROR(MakeDirectories(run_dir + "/state"));
    files.state = "state/" + name;
    SKERRY_RETURN_IF_ERROR(
        WriteSafetensors(run_dir + "/" + files.state, *content.state, content.metadata));
  }
  files.model = "models/" + name;
  SKERRY_RETURN_IF_ERROR(
      WriteSafetensors(run_dir + "/" + files.model, *content.model, content.metadata));
  return files;
}

absl::StatusOr<LoadedCheckpoint> ReadCheckpoint(const std::string& run_dir,
                                                const CheckpointFiles& files,
                                                const ParameterLayoutPtr& layout,
                                                const ParameterLayoutPtr& state_layout) {
  SKERRY_ASSIGN_OR_RETURN(SafetensorsFile model,
                          ReadSafetensors(run_dir + "/" + files.model, layout));
  LoadedCheckpoint loaded{std::move(model.parameters), std::nullopt, std::move(model.metadata)};
  if ((state_layout == nullptr) != files.state.empty()) {
    return absl::FailedPreconditionError(fmt::format(
        "{}/{}: the strategy of this job keeps {} state, but the checkpoint has {} state file",
        run_dir, files.model, state_layout == nullptr ? "no" : "some",
        files.state.empty() ? "no" : "a"));
  }
  if (files.state.empty()) return loaded;
  SKERRY_ASSIGN_OR_RETURN(SafetensorsFile state,
                          ReadSafetensors(run_dir + "/" + files.state, state_layout));
  loaded.state = std::move(state.parameters);
  return loaded;
}

}  // namespace skerry
