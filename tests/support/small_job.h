// A job whose model is one flat vector, for tests of the machines.
#pragma once

#include <cstdint>

#include "common/base/status.h"
#include "common/config/job_config.h"
#include "common/tensor/parameter_layout.h"

namespace skerry {

// One linear layer without bias: `parameter_count` parameters.
inline JobConfig SmallJob(int64_t parameter_count) {
  JobConfig job;
  job.model.name = ModelName::kLayers;
  job.model.input = {parameter_count};
  LayerConfig layer;
  layer.kind = LayerKind::kLinear;
  layer.out = 1;
  layer.has_bias = false;
  job.model.layers = {layer};
  return job;
}

// The layout of SmallJob's model.
inline ParameterLayoutPtr SmallLayout(int64_t parameter_count) {
  auto layout =
      ParameterLayout::Create({{.name = "layers.0.weight", .sizes = {1, parameter_count}}});
  SKERRY_ASSERT(layout.ok());
  return *layout;
}

}  // namespace skerry
