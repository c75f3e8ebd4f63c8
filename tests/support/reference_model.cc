#include "tests/support/reference_model.h"

#include <tuple>

#include "common/base/status.h"
#include "common/config/model_shapes.h"

namespace skerry {

torch::nn::Sequential ReferenceModule(const ModelConfig& model) {
  namespace nn = torch::nn;
  const ModelShapes shapes = *InferShapes(model);
  const std::vector<LayerConfig> layers = LayersOf(model);
  nn::Sequential module;
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerConfig& layer = layers[i];
    const std::vector<int64_t>& input = shapes.layers[i].input;
    switch (layer.kind) {
      case LayerKind::kLinear:
        module->push_back(
            nn::Linear(nn::LinearOptions(input.back(), layer.out).bias(layer.has_bias)));
        break;
      case LayerKind::kConv2d:
        module->push_back(nn::Conv2d(nn::Conv2dOptions(input[0], layer.out, layer.kernel)
                                         .stride(layer.stride)
                                         .padding(layer.padding)
                                         .bias(layer.has_bias)));
        break;
      case LayerKind::kGroupNorm:
        module->push_back(
            nn::GroupNorm(nn::GroupNormOptions(layer.groups, input[0]).affine(layer.has_affine)));
        break;
      case LayerKind::kLayerNorm:
        module->push_back(nn::LayerNorm(nn::LayerNormOptions({input.back()})));
        break;
      case LayerKind::kEmbedding:
        module->push_back(nn::Functional([](const at::Tensor& x) { return x.to(at::kLong); }));
        module->push_back(nn::Embedding(nn::EmbeddingOptions(layer.count, layer.dimension)));
        break;
      case LayerKind::kRelu:
        module->push_back(nn::ReLU());
        break;
      case LayerKind::kGelu:
        module->push_back(nn::GELU());
        break;
      case LayerKind::kTanh:
        module->push_back(nn::Tanh());
        break;
      case LayerKind::kMaxPool:
        module->push_back(nn::MaxPool2d(
            nn::MaxPool2dOptions(layer.kernel).stride(layer.stride).padding(layer.padding)));
        break;
      case LayerKind::kAvgPool:
        module->push_back(nn::AvgPool2d(
            nn::AvgPool2dOptions(layer.kernel).stride(layer.stride).padding(layer.padding)));
        break;
      case LayerKind::kFlatten:
        module->push_back(nn::Flatten());
        break;
      case LayerKind::kDropout:
        module->push_back(nn::Dropout(nn::DropoutOptions(layer.rate)));
        break;
      case LayerKind::kScattering:
        SKERRY_ASSERT(false);  // torch::nn has none
    }
  }
  return module;
}

void LoadReference(torch::nn::Sequential& module, std::span<const float> values) {
  const torch::NoGradGuard no_grad;
  size_t at = 0;
  for (at::Tensor& parameter : module->parameters()) {
    float* to = parameter.data_ptr<float>();
    for (int64_t i = 0; i < parameter.numel(); ++i) to[i] = values[at++];
  }
  SKERRY_ASSERT(at == values.size());
}

std::vector<float> ReferenceValues(const torch::nn::Sequential& module) {
  std::vector<float> values;
  for (const at::Tensor& parameter : module->parameters()) {
    const float* from = parameter.data_ptr<float>();
    values.insert(values.end(), from, from + parameter.numel());
  }
  return values;
}

at::Tensor ReferenceLoss(LossName loss, const at::Tensor& output, const at::Tensor& labels) {
  namespace functional = torch::nn::functional;
  switch (loss) {
    case LossName::kCrossEntropy:
      return functional::cross_entropy(output, labels);
    case LossName::kBce:
      return functional::binary_cross_entropy(torch::sigmoid(output), labels);
    case LossName::kMse:
      return functional::mse_loss(output, labels);
  }
  SKERRY_ASSERT(false);
}

std::unique_ptr<torch::optim::Optimizer> ReferenceOptimizer(const OptimizerConfig& config,
                                                            torch::nn::Sequential& module) {
  const std::vector<at::Tensor> parameters = module->parameters();
  const auto betas = std::make_tuple(config.beta1, config.beta2);
  switch (config.name) {
    case OptimizerName::kSgd:
      return std::make_unique<torch::optim::SGD>(parameters,
                                                 torch::optim::SGDOptions(config.learning_rate)
                                                     .momentum(config.momentum)
                                                     .weight_decay(config.weight_decay));
    case OptimizerName::kAdam:
      return std::make_unique<torch::optim::Adam>(parameters,
                                                  torch::optim::AdamOptions(config.learning_rate)
                                                      .betas(betas)
                                                      .eps(config.epsilon)
                                                      .weight_decay(config.weight_decay));
    case OptimizerName::kAdamW:
      return std::make_unique<torch::optim::AdamW>(parameters,
                                                   torch::optim::AdamWOptions(config.learning_rate)
                                                       .betas(betas)
                                                       .eps(config.epsilon)
                                                       .weight_decay(config.weight_decay));
  }
  SKERRY_ASSERT(false);
}

}  // namespace skerry
