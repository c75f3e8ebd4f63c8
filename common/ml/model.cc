#include "common/ml/model.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/config/model_shapes.h"
#include "common/tensor/safetensors.h"

namespace skerry {
namespace {

// kaiming_uniform_ with a = sqrt(5), PyTorch's default for linear and conv2d, comes to
// sqrt(6 / ((1 + 5) fan_in)) = 1 / sqrt(fan_in), which is the bound of the bias too.
void FillUniform(std::span<float> values, double bound, Rng& rng) {
  for (float& value : values) value = static_cast<float>((2.0 * rng.Uniform() - 1.0) * bound);
}

int64_t FanIn(const LayerConfig& layer, const LayerShapes& shapes) {
  if (layer.kind == LayerKind::kConv2d) return shapes.input[0] * layer.kernel * layer.kernel;
  return shapes.input.back();
}

void Initialise(const LayerConfig& layer, const LayerShapes& shapes, bool is_weight,
                std::span<float> values, Rng& rng) {
  switch (layer.kind) {
    case LayerKind::kLinear:
    case LayerKind::kConv2d:
      FillUniform(values, 1.0 / std::sqrt(static_cast<double>(FanIn(layer, shapes))), rng);
      return;
    case LayerKind::kEmbedding:
      for (float& value : values) value = static_cast<float>(rng.Normal());
      return;
    case LayerKind::kGroupNorm:
    case LayerKind::kLayerNorm:
      std::fill(values.begin(), values.end(), is_weight ? 1.0f : 0.0f);
      return;
    default:
      SKERRY_ASSERT(false);  // other layers have no parameters
  }
}

absl::StatusOr<ParameterLayoutPtr> LayoutOfShapes(const ModelShapes& shapes) {
  std::vector<TensorShape> tensors;
  for (const ParameterShape& parameter : shapes.parameters) {
    tensors.push_back({parameter.name, parameter.sizes});
  }
  return ParameterLayout::Create(std::move(tensors));
}

}  // namespace

absl::StatusOr<ParameterLayoutPtr> LayoutOf(const ModelConfig& model) {
  SKERRY_ASSIGN_OR_RETURN(const ModelShapes shapes, InferShapes(model));
  return LayoutOfShapes(shapes);
}

absl::StatusOr<SharedModel> InitialModel(const ModelConfig& model, uint64_t seed) {
  SKERRY_ASSIGN_OR_RETURN(const ModelShapes shapes, InferShapes(model));
  SKERRY_ASSIGN_OR_RETURN(ParameterLayoutPtr layout, LayoutOfShapes(shapes));
  if (model.initial.has_value()) {
    SKERRY_ASSIGN_OR_RETURN(SafetensorsFile file, ReadSafetensors(*model.initial, layout));
    for (const float value : file.parameters.values()) {
      if (!std::isfinite(value)) {
        return absl::InvalidArgumentError(fmt::format(
            "{}: a parameter is not a finite number: use another model", *model.initial));
      }
    }
    return std::make_shared<const ParameterVector>(std::move(file.parameters));
  }
  ParameterVector parameters(layout);
  const std::vector<LayerConfig> layers = LayersOf(model);
  size_t tensor = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string weight = fmt::format("layers.{}.weight", i);
    const std::string bias = fmt::format("layers.{}.bias", i);
    for (; tensor < layout->tensors().size(); ++tensor) {
      const TensorShape& shape = layout->tensors()[tensor];
      if (shape.name != weight && shape.name != bias) break;
      // A stream of its own for each tensor: a layer keeps its start when another is added after.
      Rng rng = Rng::Derive(seed, "initial", tensor);
      Initialise(layers[i], shapes.layers[i], shape.name == weight,
                 parameters.values().subspan(layout->offset(tensor), shape.element_count()), rng);
    }
  }
  SKERRY_ASSERT(tensor == layout->tensors().size());
  return std::make_shared<const ParameterVector>(std::move(parameters));
}

}  // namespace skerry
