#include "common/config/model_shapes.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "common/config/config_words.h"

namespace skerry {
namespace {

using Shape = std::vector<int64_t>;

constexpr int64_t kBuiltInSide = 28;
constexpr int64_t kBuiltInClasses = 10;
constexpr int64_t kBuiltInNormGroups = 4;

std::string Text(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

// The product of `sizes`, each at least 1, or kElementsMax + 1 if it is larger than kElementsMax.
int64_t ElementCount(const Shape& sizes) {
  int64_t count = 1;
  for (const int64_t size : sizes) {
    if (size > kElementsMax / count) return kElementsMax + 1;
    count *= size;
  }
  return count;
}

bool IsIn(int64_t value, int64_t min) { return value >= min && value <= kElementsMax; }

// The ranges without which the arithmetic below would divide by zero or overflow. YAML is held to
// narrower ones when it is read; this is for layers made in code.
bool HasSaneNumbers(const LayerConfig& layer) {
  switch (layer.kind) {
    case LayerKind::kLinear:
      return IsIn(layer.out, 1);
    case LayerKind::kConv2d:
      return IsIn(layer.out, 1) && IsIn(layer.kernel, 1) && IsIn(layer.stride, 1) &&
             IsIn(layer.padding, 0);
    case LayerKind::kMaxPool:
    case LayerKind::kAvgPool:
      return IsIn(layer.kernel, 1) && IsIn(layer.stride, 1) && IsIn(layer.padding, 0);
    case LayerKind::kGroupNorm:
      return IsIn(layer.groups, 1);
    case LayerKind::kEmbedding:
      return IsIn(layer.count, 1) && IsIn(layer.dimension, 1);
    case LayerKind::kScattering:
      return layer.scales >= 1 && layer.scales <= 30 && layer.angles >= 1 && layer.angles <= 1000;
    default:
      return true;
  }
}

LayerConfig Plain(LayerKind kind) { return {.kind = kind}; }
LayerConfig Linear(int64_t out) { return {.kind = LayerKind::kLinear, .out = out}; }
LayerConfig Conv2d(int64_t out, int64_t kernel, int64_t stride, int64_t padding) {
  return {.kind = LayerKind::kConv2d,
          .out = out,
          .kernel = kernel,
          .stride = stride,
          .padding = padding};
}
LayerConfig MaxPool(int64_t kernel, int64_t stride) {
  return {.kind = LayerKind::kMaxPool, .kernel = kernel, .stride = stride};
}

// McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized
// Data", section 3: the 2NN.
std::vector<LayerConfig> Mlp() {
  return {Plain(LayerKind::kFlatten), Linear(200),
          Plain(LayerKind::kRelu),    Linear(200),
          Plain(LayerKind::kRelu),    Linear(kBuiltInClasses)};
}

// The same paper's CNN for MNIST.
std::vector<LayerConfig> Cnn() {
  return {Conv2d(32, 5, 1, 2),
          Plain(LayerKind::kRelu),
          MaxPool(2, 2),
          Conv2d(64, 5, 1, 2),
          Plain(LayerKind::kRelu),
          MaxPool(2, 2),
          Plain(LayerKind::kFlatten),
          Linear(512),
          Plain(LayerKind::kRelu),
          Linear(kBuiltInClasses)};
}

// Papernot et al. 2021, "Tempered Sigmoid Activations for Deep Learning with Differential Privacy",
// table 1, as used by Tramer and Boneh 2021. The second form normalises after each convolution.
std::vector<LayerConfig> CnnSmall(bool has_group_norm) {
  std::vector<LayerConfig> layers;
  const auto add_convolution = [&](const LayerConfig& convolution) {
    layers.push_back(convolution);
    if (has_group_norm) {
      layers.push_back({.kind = LayerKind::kGroupNorm, .groups = kBuiltInNormGroups});
    }
    layers.push_back(Plain(LayerKind::kTanh));
    layers.push_back(MaxPool(2, 1));
  };
  add_convolution(Conv2d(16, 8, 2, 3));
  add_convolution(Conv2d(32, 4, 2, 0));
  layers.push_back(Plain(LayerKind::kFlatten));
  layers.push_back(Linear(32));
  layers.push_back(Plain(LayerKind::kTanh));
  layers.push_back(Linear(kBuiltInClasses));
  return layers;
}

// Walks the layers once. A layer that does not fit but whose output is clear all the same does not
// stop the walk, so that several errors are reported together.
class Inference {
 public:
  Inference(const ModelConfig& model, ConfigDiagnostics& diagnostics)
      : diagnostics_(diagnostics), layers_(LayersOf(model)) {
    shapes_.input = InputOf(model);
  }

  ModelShapes Run() {
    Shape shape = shapes_.input;
    for (index_ = 0; index_ < layers_.size(); ++index_) {
      if (!HasSaneNumbers(layers_[index_])) {
        Refuse("has a size or count that is missing or out of range");
        return shapes_;
      }
      const std::optional<Shape> output = Output(layers_[index_], shape);
      if (!output.has_value()) return shapes_;
      if (ElementCount(*output) > kElementsMax) {
        Refuse(fmt::format("makes {} values an example, at most {} are possible", Text(*output),
                           kElementsMax));
        return shapes_;
      }
      shapes_.layers.push_back({std::move(shape), *output});
      shape = *output;
    }
    shapes_.output = std::move(shape);
    return shapes_;
  }

 private:
  void Refuse(std::string_view what) {
    diagnostics_.Add(
        fmt::format("model.layers[{}].{}", index_, WordFor(layers_[index_].kind, kLayerWords)),
        what);
  }

  void AddParameter(std::string_view name, Shape sizes) {
    const int64_t count = ElementCount(sizes);
    if (count > kElementsMax - shapes_.parameter_count) {
      Refuse(fmt::format("makes the model larger than {} parameters", kElementsMax));
      return;
    }
    shapes_.parameter_count += count;
    shapes_.parameters.push_back({fmt::format("layers.{}.{}", index_, name), std::move(sizes)});
  }

  // Weight and, if the layer has one, bias; `out` is the length of the bias.
  void AddParameters(Shape weight, int64_t out, bool has_bias) {
    AddParameter("weight", std::move(weight));
    if (has_bias) AddParameter("bias", {out});
  }

  std::optional<Shape> Output(const LayerConfig& layer, const Shape& input) {
    switch (layer.kind) {
      case LayerKind::kLinear:
        return OutputOfLinear(layer, input);
      case LayerKind::kConv2d:
        return OutputOfConv2d(layer, input);
      case LayerKind::kGroupNorm:
        return OutputOfGroupNorm(layer, input);
      case LayerKind::kLayerNorm:
        return OutputOfLayerNorm(input);
      case LayerKind::kEmbedding:
        return OutputOfEmbedding(layer, input);
      case LayerKind::kMaxPool:
      case LayerKind::kAvgPool:
        return OutputOfPool(layer, input);
      case LayerKind::kFlatten:
        return Shape{ElementCount(input)};
      case LayerKind::kScattering:
        return OutputOfScattering(layer, input);
      case LayerKind::kRelu:
      case LayerKind::kGelu:
      case LayerKind::kTanh:
      case LayerKind::kDropout:
        return input;
    }
    return std::nullopt;
  }

  std::optional<Shape> OutputOfLinear(const LayerConfig& layer, const Shape& input) {
    if (input.size() > 2) {
      Refuse(
          fmt::format("takes one or two dimensions, got {}: put flatten before it", Text(input)));
      return Shape{layer.out};
    }
    AddParameters({layer.out, input.back()}, layer.out, layer.has_bias);
    Shape output = input;
    output.back() = layer.out;
    return output;
  }

  std::optional<Shape> OutputOfConv2d(const LayerConfig& layer, const Shape& input) {
    const std::optional<Shape> window = OutputOfWindow(layer, input);
    if (!window.has_value()) return std::nullopt;
    AddParameters({layer.out, input[0], layer.kernel, layer.kernel}, layer.out, layer.has_bias);
    return Shape{layer.out, (*window)[1], (*window)[2]};
  }

  std::optional<Shape> OutputOfPool(const LayerConfig& layer, const Shape& input) {
    if (layer.padding > layer.kernel / 2) {
      Refuse(fmt::format("must have a padding of at most half its kernel {}, got {}", layer.kernel,
                         layer.padding));
    }
    return OutputOfWindow(layer, input);
  }

  // The shape after a square window has moved over channels x height x width.
  std::optional<Shape> OutputOfWindow(const LayerConfig& layer, const Shape& input) {
    if (input.size() != 3) {
      Refuse(fmt::format("takes channels, height and width, got {}", Text(input)));
      return std::nullopt;
    }
    Shape output = {input[0]};
    for (const int64_t side : {input[1], input[2]}) {
      const int64_t padded = side + 2 * layer.padding;
      if (layer.kernel > padded) {
        Refuse(fmt::format("has kernel {}, larger than its input {} with padding {}", layer.kernel,
                           Text(input), layer.padding));
        return std::nullopt;
      }
      output.push_back((padded - layer.kernel) / layer.stride + 1);
    }
    return output;
  }

  std::optional<Shape> OutputOfGroupNorm(const LayerConfig& layer, const Shape& input) {
    if (input.size() == 2) {
      Refuse(fmt::format("takes channels, or channels, height and width, got {}", Text(input)));
    } else if (input[0] % layer.groups != 0) {
      Refuse(fmt::format("has {} groups, which do not divide {} channels", layer.groups, input[0]));
    }
    if (layer.has_affine) AddParameters({input[0]}, input[0], true);
    return input;
  }

  std::optional<Shape> OutputOfLayerNorm(const Shape& input) {
    if (input.size() > 2) {
      Refuse(fmt::format("takes one or two dimensions, got {}: use group_norm for images",
                         Text(input)));
    }
    AddParameters({input.back()}, input.back(), true);
    return input;
  }

  std::optional<Shape> OutputOfEmbedding(const LayerConfig& layer, const Shape& input) {
    if (index_ != 0) Refuse("must be the first layer: it takes row numbers");
    if (input.size() != 1) {
      Refuse(fmt::format("takes one dimension of row numbers, got {}", Text(input)));
    }
    AddParameter("weight", {layer.count, layer.dimension});
    return Shape{input[0], layer.dimension};
  }

  std::optional<Shape> OutputOfScattering(const LayerConfig& layer, const Shape& input) {
    if (index_ != 0) Refuse("must be the first layer: it is computed once, before training");
    if (input.size() != 3) {
      Refuse(fmt::format("takes channels, height and width, got {}", Text(input)));
      return std::nullopt;
    }
    const int64_t step = int64_t{1} << layer.scales;
    if (std::min(input[1], input[2]) < step) {
      Refuse(fmt::format("with {} scales takes images of at least {} by {}, got {}", layer.scales,
                         step, step, Text(input)));
      return std::nullopt;
    }
    const int64_t first = layer.scales * layer.angles;
    const int64_t second = layer.scales * (layer.scales - 1) / 2 * layer.angles * layer.angles;
    const int64_t maps = 1 + first + second;
    if (input[0] > kElementsMax / maps) {
      Refuse(fmt::format("makes more than {} channels", kElementsMax));
      return std::nullopt;
    }
    return Shape{input[0] * maps, (input[1] + step - 1) / step, (input[2] + step - 1) / step};
  }

  ConfigDiagnostics& diagnostics_;
  std::vector<LayerConfig> layers_;
  ModelShapes shapes_;
  size_t index_ = 0;
};

}  // namespace

std::vector<LayerConfig> LayersOf(const ModelConfig& model) {
  switch (model.name) {
    case ModelName::kMlp:
      return Mlp();
    case ModelName::kCnn:
      return Cnn();
    case ModelName::kCnnSmall:
      return CnnSmall(/*has_group_norm=*/false);
    case ModelName::kCnnSmallGn:
      return CnnSmall(/*has_group_norm=*/true);
    case ModelName::kLayers:
      break;
  }
  return model.layers;
}

std::vector<int64_t> InputOf(const ModelConfig& model) {
  if (model.name == ModelName::kLayers) return model.input;
  return {1, kBuiltInSide, kBuiltInSide};
}

ModelShapes InferShapes(const ModelConfig& model, ConfigDiagnostics& diagnostics) {
  const Shape input = InputOf(model);
  const bool is_positive =
      std::all_of(input.begin(), input.end(), [](int64_t size) { return size >= 1; });
  if (input.empty() || !is_positive || ElementCount(input) > kElementsMax) {
    diagnostics.Add("model.input", fmt::format("must be the shape of one example of at most {} "
                                               "values, got {}",
                                               kElementsMax, Text(input)));
    return {};
  }
  return Inference(model, diagnostics).Run();
}

absl::StatusOr<ModelShapes> InferShapes(const ModelConfig& model) {
  ConfigDiagnostics diagnostics("model");
  for (size_t i = 0; i < model.layers.size(); ++i) {
    diagnostics.NotePlace(fmt::format("model.layers[{}]", i), {"model", model.layers[i].line});
  }
  ModelShapes shapes = InferShapes(model, diagnostics);
  SKERRY_RETURN_IF_ERROR(StatusFromErrors(diagnostics.errors()));
  return shapes;
}

}  // namespace skerry
