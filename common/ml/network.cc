#include "common/ml/network.h"

#include <new>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "common/ml/model.h"
#include "common/ml/scattering.h"

namespace skerry {

absl::StatusOr<Network> Network::Create(const ModelConfig& model) {
  Network network;
  SKERRY_ASSIGN_OR_RETURN(network.shapes_, InferShapes(model));
  SKERRY_ASSIGN_OR_RETURN(network.layout_, LayoutOf(model));
  const std::vector<LayerConfig> layers = LayersOf(model);
  const std::vector<TensorShape>& tensors = network.layout_->tensors();
  size_t next = 0;
  const auto take = [&](size_t layer, std::string_view name) {
    if (next == tensors.size() || tensors[next].name != fmt::format("layers.{}.{}", layer, name)) {
      return -1;
    }
    return static_cast<int>(next++);
  };
  for (size_t i = 0; i < layers.size(); ++i) {
    Step step = {.layer = layers[i]};
    step.weight = take(i, "weight");
    step.bias = take(i, "bias");
    network.steps_.push_back(step);
  }
  SKERRY_ASSERT(next == tensors.size());
  network.SplitFixedSteps();
  return network;
}

void Network::SplitFixedSteps() {
  if (steps_.empty() || steps_[0].layer.kind != LayerKind::kScattering) return;
  scattering_ = std::make_shared<const Scattering>(steps_[0].layer);
  size_t count = 1;
  while (count < steps_.size() && steps_[count].weight < 0 &&
         steps_[count].layer.kind != LayerKind::kDropout) {
    ++count;
  }
  const auto end = static_cast<std::ptrdiff_t>(count);
  fixed_input_ = std::move(shapes_.input);
  shapes_.input = shapes_.layers[count - 1].output;
  shapes_.layers.erase(shapes_.layers.begin(), shapes_.layers.begin() + end);
  fixed_steps_.assign(steps_.begin(), steps_.begin() + end);
  steps_.erase(steps_.begin(), steps_.begin() + end);
}

at::Tensor Network::FixedFeatures(const at::Tensor& batch) const {
  std::vector<int64_t> shape = {1};
  shape.insert(shape.end(), fixed_input_.begin(), fixed_input_.end());
  std::vector<at::Tensor> features;
  for (int64_t row = 0; row < batch.size(0); ++row) {
    at::Tensor x = batch[row].view(shape);
    for (const Step& step : fixed_steps_) x = Apply(step, x, {}, nullptr);
    features.push_back(x);
  }
  return at::cat(features);
}

at::Tensor Network::Forward(const at::Tensor& batch, const std::vector<at::Tensor>& parameters,
                            Rng* dropout) const {
  SKERRY_ASSERT(parameters.size() == layout_->tensors().size());
  std::vector<int64_t> shape = {batch.size(0)};
  shape.insert(shape.end(), shapes_.input.begin(), shapes_.input.end());
  at::Tensor x = batch.view(shape);
  for (const Step& step : steps_) x = Apply(step, x, parameters, dropout);
  return x;
}

at::Tensor Network::Apply(const Step& step, const at::Tensor& x,
                          const std::vector<at::Tensor>& parameters, Rng* dropout) const {
  const LayerConfig& layer = step.layer;
  const auto parameter = [&](int index) {
    return index < 0 ? at::Tensor() : parameters[static_cast<size_t>(index)];
  };
  const at::Tensor weight = parameter(step.weight);
  const at::Tensor bias = parameter(step.bias);
  switch (layer.kind) {
    case LayerKind::kLinear:
      return at::linear(x, weight, bias);
    case LayerKind::kConv2d:
      return at::conv2d(x, weight, bias, layer.stride, layer.padding);
    case LayerKind::kGroupNorm:
      return at::group_norm(x, layer.groups, weight, bias, kNormEpsilon);
    case LayerKind::kLayerNorm:
      return at::layer_norm(x, {x.size(-1)}, weight, bias, kNormEpsilon);
    case LayerKind::kEmbedding:
      return at::embedding(weight, x.to(at::kLong));
    case LayerKind::kRelu:
      return at::relu(x);
    case LayerKind::kGelu:
      return at::gelu(x);
    case LayerKind::kTanh:
      return at::tanh(x);
    case LayerKind::kMaxPool:
      return at::max_pool2d(x, layer.kernel, layer.stride, layer.padding);
    case LayerKind::kAvgPool:
      return at::avg_pool2d(x, layer.kernel, layer.stride, layer.padding);
    case LayerKind::kFlatten:
      return at::flatten(x, 1);
    case LayerKind::kDropout:
      if (dropout == nullptr || layer.rate == 0.0) return x;
      return x * DropoutMask(x, layer.rate, [dropout] { return dropout->NextU64(); });
    case LayerKind::kScattering:
      return scattering_->Apply(x);
  }
  SKERRY_ASSERT(false);
}

at::Tensor DropoutMask(const at::Tensor& like, double rate,
                       const std::function<uint64_t()>& random_word) {
  const at::Tensor mask = at::empty(like.sizes(), at::kFloat);
  const auto kept = static_cast<float>(1.0 / (1.0 - rate));
  const auto threshold = static_cast<uint64_t>(rate * 4294967296.0);
  float* values = mask.data_ptr<float>();
  const int64_t count = mask.numel();
  for (int64_t i = 0; i < count; i += 2) {  // one draw serves two values
    const uint64_t bits = random_word();
    values[i] = (bits >> 32) >= threshold ? kept : 0.0f;
    if (i + 1 < count) values[i + 1] = (bits & 0xffffffffu) >= threshold ? kept : 0.0f;
  }
  return mask.to(like.device());
}

std::vector<at::Tensor> ParametersOf(const ParameterVector& model, const at::Device& device) {
  std::vector<at::Tensor> tensors;
  for (size_t i = 0; i < model.layout()->tensors().size(); ++i) {
    // from_blob wants a pointer it could write through; nothing here does.
    auto* values = const_cast<float*>(model.tensor(i).data());
    tensors.push_back(
        at::from_blob(values, model.layout()->tensors()[i].sizes, at::kFloat).to(device));
  }
  return tensors;
}

absl::Status StatusOfException(const std::exception& exception, const std::string& what) {
  std::string_view text = exception.what();
  if (const auto* error = dynamic_cast<const c10::Error*>(&exception)) {
    text = error->what_without_backtrace();
  }
  const std::string message = fmt::format("{}: {}", what, text.substr(0, text.find('\n')));
  const bool is_memory = dynamic_cast<const std::bad_alloc*>(&exception) != nullptr ||
                         text.find("not enough memory") != std::string_view::npos ||
                         text.find("out of memory") != std::string_view::npos;
  if (is_memory) return absl::ResourceExhaustedError(message);
  return absl::InternalError(message);
}

}  // namespace skerry
