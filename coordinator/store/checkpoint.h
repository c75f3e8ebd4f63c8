// A model and a strategy's state as two public safetensors files, written whole or not at all.
//
//   models/round-NNNNNN.safetensors   the model
//   state/round-NNNNNN.safetensors    the state; its tensors are named `m/<parameter>`
//
// May run on any thread: it touches these files and nothing else. A file becomes part of the run
// when the record that names it is committed (run_store.h).
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/tensor/parameter_vector.h"
#include "common/tensor/safetensors.h"
#include "coordinator/round/records.h"

namespace skerry {

struct CheckpointContent {
  RoundId round;  // that made the model; 0 for the initial one
  const ParameterVector* model = nullptr;
  const ParameterVector* state = nullptr;  // null: the strategy keeps none, no file is written
  SafetensorsMetadata metadata;            // of both files
};

struct LoadedCheckpoint {
  ParameterVector model;
  std::optional<ParameterVector> state;
  SafetensorsMetadata metadata;  // of the model's file
};

// Durable on return. The names are relative to `run_dir`.
absl::StatusOr<CheckpointFiles> WriteCheckpoint(const std::string& run_dir,
                                                const CheckpointContent& content);

// `state_layout`: what the job's strategy keeps, null if nothing. Fails if the checkpoint does not
// hold exactly that.
absl::StatusOr<LoadedCheckpoint> ReadCheckpoint(const std::string& run_dir,
                                                const CheckpointFiles& files,
                                                const ParameterLayoutPtr& layout,
                                                const ParameterLayoutPtr& state_layout);

// "round-000012.safetensors"
std::string CheckpointFileName(RoundId round);

}  // namespace skerry
