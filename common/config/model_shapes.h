// Shapes of a model without LibTorch: what goes in and out of each layer and which parameters it
// has. The built-in models are lists of layers like a user's own, so there is one path for both.
//
// Shapes are of one example, without the batch dimension. Rules by layer:
//   linear                features or a sequence of features; works on the last dimension
//   conv2d, max_pool, avg_pool   channels, height, width
//   group_norm            channels first: one or three dimensions
//   layer_norm            one or two dimensions; normalises over the last
//   embedding             the first layer only: n row numbers become n x dimension
//   flatten               any; row-major
//   scattering            channels, height, width; the first layer only. Each channel becomes
//                         1 + J L + J (J - 1) / 2 L^2 (J scales, L angles), 2^J times smaller
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/config_error.h"
#include "common/config/job_config.h"

namespace skerry {

// Parameters of a model and values of one layer's output. The first is ParameterLayout's limit.
inline constexpr int64_t kElementsMax = 2'147'483'647;

struct ParameterShape {
  std::string name;  // "layers.3.weight": the position in the list of layers, from 0
  std::vector<int64_t> sizes;
  bool operator==(const ParameterShape&) const = default;
};

struct LayerShapes {
  std::vector<int64_t> input;
  std::vector<int64_t> output;
};

struct ModelShapes {
  std::vector<int64_t> input;
  std::vector<int64_t> output;
  std::vector<LayerShapes> layers;         // one for each of LayersOf(model)
  std::vector<ParameterShape> parameters;  // by layer; weight before bias
  int64_t parameter_count = 0;
};

// The layers of `model`; those of a built-in model are written out.
std::vector<LayerConfig> LayersOf(const ModelConfig& model);
// The shape of one example: 1 x 28 x 28 for a built-in model.
std::vector<int64_t> InputOf(const ModelConfig& model);

// Fails with kInvalidArgument and one line for each layer that does not fit:
// "model:14: model.layers[3].linear takes ...".
absl::StatusOr<ModelShapes> InferShapes(const ModelConfig& model);

// The same for a model being loaded: errors go to `diagnostics`, at the layers' places.
ModelShapes InferShapes(const ModelConfig& model, ConfigDiagnostics& diagnostics);

}  // namespace skerry
