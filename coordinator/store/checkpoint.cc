#include "coordinator/store/checkpoint.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/status.h"

namespace skerry {
namespace {

std::vector<TensorShape> ShapesWithPrefix(const ParameterLayout& layout, const std::string& part) {
  std::vector<TensorShape> shapes = layout.tensors();
  for (TensorShape& shape : shapes) shape.name = fmt::format("{}/{}", part, shape.name);
  return shapes;
}

absl::StatusOr<ParameterLayoutPtr> StateLayout(const ParameterLayout& layout,
                                               const std::vector<std::string>& state_names) {
  std::vector<TensorShape> shapes;
  for (const std::string& name : state_names) {
    const auto part = ShapesWithPrefix(layout, name);
    shapes.insert(shapes.end(), part.begin(), part.end());
  }
  return ParameterLayout::Create(std::move(shapes));
}

}  // namespace

std::string CheckpointFileName(RoundId round) {
  return fmt::format("round-{:06}.safetensors", round.value());
}

absl::StatusOr<CheckpointFiles> WriteCheckpoint(const std::string& run_dir,
                                                const CheckpointContent& content) {
  const std::string name = CheckpointFileName(content.round);
  CheckpointFiles files;
  SKERRY_RETURN_IF_ERROR(MakeDirectories(run_dir + "/models"));
  if (!content.state.empty()) {
    SKERRY_RETURN_IF_ERROR(MakeDirectories(run_dir + "/state"));
    files.state = "state/" + name;
    std::vector<PrefixedParameters> parts;
    for (const auto& [part, parameters] : content.state) parts.push_back({part + "/", parameters});
    SKERRY_RETURN_IF_ERROR(
        WriteSafetensors(run_dir + "/" + files.state, parts, content.state_metadata));
  }
  files.model = "models/" + name;
  SKERRY_RETURN_IF_ERROR(
      WriteSafetensors(run_dir + "/" + files.model, *content.model, content.model_metadata));
  return files;
}

absl::StatusOr<LoadedCheckpoint> ReadCheckpoint(const std::string& run_dir,
                                                const CheckpointFiles& files,
                                                const ParameterLayoutPtr& layout,
                                                const std::vector<std::string>& state_names) {
  SKERRY_ASSIGN_OR_RETURN(SafetensorsFile model,
                          ReadSafetensors(run_dir + "/" + files.model, layout));
  LoadedCheckpoint loaded{std::move(model.parameters), {}, std::move(model.metadata), {}};
  if (state_names.empty() != files.state.empty()) {
    return absl::FailedPreconditionError(fmt::format(
        "{}/{}: the strategy of this job keeps {} state, but the checkpoint has {} state file",
        run_dir, files.model, state_names.empty() ? "no" : "some",
        files.state.empty() ? "no" : "a"));
  }
  if (files.state.empty()) return loaded;

  SKERRY_ASSIGN_OR_RETURN(const ParameterLayoutPtr state_layout, StateLayout(*layout, state_names));
  SKERRY_ASSIGN_OR_RETURN(SafetensorsFile state,
                          ReadSafetensors(run_dir + "/" + files.state, state_layout));
  const auto values = std::as_const(state.parameters).values();
  for (size_t i = 0; i < state_names.size(); ++i) {
    const auto part = values.subspan(i * layout->element_count(), layout->element_count());
    loaded.state.emplace_back(
        state_names[i], ParameterVector(layout, std::vector<float>(part.begin(), part.end())));
  }
  loaded.state_metadata = std::move(state.metadata);
  return loaded;
}

}  // namespace skerry
