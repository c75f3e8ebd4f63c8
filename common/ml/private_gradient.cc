#include "common/ml/private_gradient.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <torch/torch.h>

#include "common/base/status.h"
#include "common/ml/batch_tensors.h"
#include "common/ml/compute.h"
#include "common/ml/layer_gradient.h"
#include "common/ml/network.h"

namespace skerry {
namespace {

constexpr char kComputing[] = "computing clipped gradients failed";
constexpr int64_t kChunkBytes = 32 << 20;
constexpr int64_t kChunkMax = 128;

// Examples whose activations, their gradients and kept values fit in kChunkBytes.
size_t ChunkSize(const Network& network) {
  const auto count = [](const std::vector<int64_t>& sizes) {
    int64_t values = 1;
    for (const int64_t size : sizes) values *= size;
    return values;
  };
  int64_t values = count(network.input());
  for (size_t i = 0; i < network.steps().size(); ++i) {
    const LayerShapes& shapes = network.shapes().layers[i];
    // The output, a copy in another memory order or a pool's indices, and the gradient.
    values += 3 * count(shapes.output) +
              KeptValues(network.steps()[i].layer, shapes.input, shapes.output);
  }
  const int64_t fitting = kChunkBytes / (values * static_cast<int64_t>(sizeof(float)));
  return static_cast<size_t>(std::clamp<int64_t>(fitting, 1, kChunkMax));
}

}  // namespace

class PrivateGradient::Impl {
 public:
  Impl(Network network, LossName loss, int threads)
      : network_(std::move(network)),
        loss_(loss),
        threads_(threads),
        chunk_size_(ChunkSize(network_)),
        batch_(at::kCPU, chunk_size_) {}

  size_t chunk_size() const { return chunk_size_; }

  absl::Status Check(const PrivateGradientTask& task) const {
    if (task.parameters.size() != network_.layout()->element_count()) {
      return absl::InvalidArgumentError(fmt::format("the model has {} parameters, got {}",
                                                    network_.layout()->element_count(),
                                                    task.parameters.size()));
    }
    if (!(task.clip_norm > 0.0 && std::isfinite(task.clip_norm))) {
      return absl::InvalidArgumentError(
          fmt::format("the clip norm must be a positive number, got {}", task.clip_norm));
    }
    return CheckData(network_, loss_, *task.dataset);
  }

  absl::StatusOr<PrivateGradientResult> Compute(const PrivateGradientTask& task) {
    return CatchTorch(kComputing, [&]() -> absl::StatusOr<PrivateGradientResult> {
      const at::NoGradGuard no_grad;
      PrepareCompute(threads_);
      PrivateGradientResult result;
      result.sum.resize(task.parameters.size());
      MakeLayers(task, result.sum);
      result.norms.resize(task.rows.size());
      for (size_t begin = 0; begin < task.rows.size(); begin += chunk_size_) {
        const size_t count = std::min(chunk_size_, task.rows.size() - begin);
        batch_.Fill(*task.dataset, task.rows.subspan(begin, count));
        const std::span norms = std::span(result.norms).subspan(begin, count);
        SKERRY_ASSIGN_OR_RETURN(const double loss, AddChunk(task.clip_norm, norms));
        result.loss_sum += loss;
      }
      for (const auto& layer : layers_) layer->Finish();
      layers_.clear();
      return result;
    });
  }

 private:
  void MakeLayers(const PrivateGradientTask& task, std::span<double> sum) {
    layers_.clear();
    const auto tensors = network_.layout()->tensors();
    const auto size_of = [&](int index) {
      return tensors[static_cast<size_t>(index)].element_count();
    };
    const auto parameter = [&](int index) {
      if (index < 0) return at::Tensor();
      const auto i = static_cast<size_t>(index);
      // from_blob wants a pointer it could write through; nothing here does.
      auto* values = const_cast<float*>(task.parameters.data()) + network_.layout()->offset(i);
      return at::from_blob(values, tensors[i].sizes, at::kFloat);
    };
    const auto sum_of = [&](int index) {
      if (index < 0) return std::span<double>();
      return sum.subspan(network_.layout()->offset(static_cast<size_t>(index)), size_of(index));
    };
    for (const Network::Step& step : network_.steps()) {
      layers_.push_back(MakeLayerGradient({.layer = step.layer,
                                           .weight = parameter(step.weight),
                                           .bias = parameter(step.bias),
                                           .weight_sum = sum_of(step.weight),
                                           .bias_sum = sum_of(step.bias),
                                           .dropout = task.dropout}));
    }
  }

  // Fills in the norms and adds the clipped gradients of the examples in `batch_`. Returns the sum
  // of their losses.
  absl::StatusOr<double> AddChunk(double clip_norm, std::span<double> norms) {
    std::vector<int64_t> sizes = network_.input();
    sizes.insert(sizes.begin(), static_cast<int64_t>(norms.size()));
    // A copy, because a layer may keep it beyond the chunk.
    at::Tensor values = batch_.examples().view(sizes).clone();
    for (const auto& layer : layers_) values = layer->Forward(values);
    double loss = 0.0;
    at::Tensor gradient = LossGradient(values, loss);
    const size_t first = FirstWithParameters();
    std::fill(norms.begin(), norms.end(), 0.0);
    for (size_t i = layers_.size(); i-- > first;) {
      gradient = layers_[i]->Backward(gradient, i == first, norms);
    }
    const at::Tensor factors = at::empty({static_cast<int64_t>(norms.size())}, at::kFloat);
    float* factor = factors.data_ptr<float>();
    for (double& norm : norms) {
      // A comparison with NaN is false: min(1, C/NaN) would not clip.
      if (!std::isfinite(norm)) {
        return absl::OutOfRangeError(
            "an example's gradient is not a finite number: look for extreme values in the data or "
            "lower training.optimizer.learning_rate");
      }
      norm = std::sqrt(norm);
      *factor++ = norm > clip_norm ? static_cast<float>(clip_norm / norm) : 1.0f;
    }
    for (const auto& layer : layers_) layer->AddScaled(factors);
    return loss;
  }

  at::Tensor LossGradient(const at::Tensor& output, double& loss) const {
    const at::AutoGradMode with_grad(true);
    const at::Tensor leaf = output.detach().requires_grad_();
    const at::Tensor sum = LossOf(loss_, leaf, batch_.labels(), Reduction::kSum);
    sum.backward();
    loss = sum.item<double>();
    return leaf.grad();
  }

  // The number of layers if none has any.
  size_t FirstWithParameters() const {
    size_t first = 0;
    while (first < layers_.size() && network_.steps()[first].weight < 0) ++first;
    return first;
  }

  Network network_;
  LossName loss_;
  int threads_;
  size_t chunk_size_;
  BatchTensors batch_;
  std::vector<std::unique_ptr<LayerGradient>> layers_;  // of the task at hand
};

absl::StatusOr<std::unique_ptr<PrivateGradient>> PrivateGradient::Create(const ModelConfig& model,
                                                                         LossName loss,
                                                                         int threads) {
  SKERRY_ASSIGN_OR_RETURN(Network network, Network::Create(model));
  SKERRY_RETURN_IF_ERROR(CheckLoss(network, loss));
  return std::unique_ptr<PrivateGradient>(
      new PrivateGradient(std::make_unique<Impl>(std::move(network), loss, threads)));
}

PrivateGradient::PrivateGradient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PrivateGradient::~PrivateGradient() = default;

absl::StatusOr<PrivateGradientResult> PrivateGradient::Compute(const PrivateGradientTask& task) {
  SKERRY_RETURN_IF_ERROR(impl_->Check(task));
  return impl_->Compute(task);
}

size_t PrivateGradient::chunk_size() const { return impl_->chunk_size(); }

}  // namespace skerry
