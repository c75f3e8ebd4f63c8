// A model and a strategy's state as two public safetensors files, written whole or not at all.
//
//   models/round-NNNNNN.safetensors   the model
//   state/round-NNNNNN.safetensors    the state; the tensors of part `m` are named `m/<parameter>`
//
// May run on any thread: it touches these files and nothing else. A file becomes part of the run
// when the record that names it is committed (run_store.h).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/tensor/parameter_vector.h"
#include "common/tensor/safetensors.h"
#include "coordinator/round/records.h"

namespace skerry {

// What a strategy keeps between rounds, by name. All have the model's layout.
using StateParts = std::vector<std::pair<std::string, const ParameterVector*>>;

struct CheckpointContent {
  RoundId round;  // that made the model; 0 for the initial one
  const ParameterVector* model = nullptr;
  StateParts state;  // empty: no state file is written
  SafetensorsMetadata model_metadata;
  SafetensorsMetadata state_metadata;  // numbers of the strategy that are not tensors
};

struct LoadedCheckpoint {
  ParameterVector model;
  std::vector<std::pair<std::string, ParameterVector>> state;
  SafetensorsMetadata model_metadata;
  SafetensorsMetadata state_metadata;
};

// Durable on return. The names are relative to `run_dir`.
absl::StatusOr<CheckpointFiles> WriteCheckpoint(const std::string& run_dir,
                                                const CheckpointContent& content);

// `state_names` are the parts expected; fails if the file has others or the layout differs.
absl::StatusOr<LoadedCheckpoint> ReadCheckpoint(const std::string& run_dir,
                                                const CheckpointFiles& files,
                                                const ParameterLayoutPtr& layout,
                                                const std::vector<std::string>& state_names);

// "round-000012.safetensors"
std::string CheckpointFileName(RoundId round);

}  // namespace skerry
