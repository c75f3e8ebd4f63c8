// A job's model as the core sees it: its layout and the parameters a run starts from. Without
// LibTorch, so that the same job and seed start alike whatever version of it a machine has.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/tensor/parameter_vector.h"

namespace skerry {

// Fails with kInvalidArgument if the layers do not fit together; the message names the line.
absl::StatusOr<ParameterLayoutPtr> LayoutOf(const ModelConfig& model);

// The parameters of `model.initial` if it is set (errors name the file and every tensor that
// differs), else drawn from `seed` with PyTorch's default distributions: linear and conv2d uniform
// within +-1/sqrt(fan_in) for weight and bias, embeddings standard normal, norms one and zero.
absl::StatusOr<SharedModel> InitialModel(const ModelConfig& model, uint64_t seed);

}  // namespace skerry
