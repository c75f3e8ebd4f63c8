#include "common/ml/layer_gradient.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/ml/network.h"
#include "common/ml/product_gradient.h"

namespace skerry {
namespace {

class ReluGradient final : public LayerGradient {
 public:
  at::Tensor Forward(const at::Tensor& input) override { return output_ = at::relu(input); }
  at::Tensor Backward(const at::Tensor& gradient, bool, std::span<double>) override {
    return at::threshold_backward(gradient, output_, 0);
  }

 private:
  at::Tensor output_;
};

class GeluGradient final : public LayerGradient {
 public:
  at::Tensor Forward(const at::Tensor& input) override {
    input_ = input;
    return at::gelu(input);
  }
  at::Tensor Backward(const at::Tensor& gradient, bool, std::span<double>) override {
    return at::gelu_backward(gradient, input_);
  }

 private:
  at::Tensor input_;
};

class TanhGradient final : public LayerGradient {
 public:
  at::Tensor Forward(const at::Tensor& input) override { return output_ = at::tanh(input); }
  at::Tensor Backward(const at::Tensor& gradient, bool, std::span<double>) override {
    return at::tanh_backward(gradient, output_);
  }

 private:
  at::Tensor output_;
};

class MaxPoolGradient final : public LayerGradient {
 public:
  explicit MaxPoolGradient(const LayerConfig& layer) : layer_(layer) {}
  at::Tensor Forward(const at::Tensor& input) override {
    input_ = ChannelsLast(input);
    at::Tensor output;
    std::tie(output, indices_) =
        at::max_pool2d_with_indices(input_, layer_.kernel, layer_.stride, layer_.padding);
    return output;
  }
  at::Tensor Backward(const at::Tensor& gradient, bool, std::span<double>) override {
    return at::max_pool2d_with_indices_backward(ChannelsLast(gradient), input_, layer_.kernel,
                                                layer_.stride, layer_.padding, 1, false, indices_);
  }

 private:
  LayerConfig layer_;
  at::Tensor input_;
  at::Tensor indices_;
};

class AvgPoolGradient final : public LayerGradient {
 public:
  explicit AvgPoolGradient(const LayerConfig& layer) : layer_(layer) {}
  at::Tensor Forward(const at::Tensor& input) override {
    input_ = ChannelsLast(input);
    return at::avg_pool2d(input_, layer_.kernel, layer_.stride, layer_.padding);
  }
  at::Tensor Backward(const at::Tensor& gradient, bool, std::span<double>) override {
    return at::avg_pool2d_backward(ChannelsLast(gradient), input_, layer_.kernel, layer_.stride,
                                   layer_.padding, false, true, c10::nullopt);
  }

 private:
  LayerConfig layer_;
  at::Tensor input_;
};

class FlattenGradient final : public LayerGradient {
 public:
  at::Tensor Forward(const at::Tensor& input) override {
    sizes_ = input.sizes().vec();
    return at::flatten(input, 1);
  }
  at::Tensor Backward(const at::Tensor& gradient, bool, std::span<double>) override {
    return gradient.reshape(sizes_);
  }

 private:
  std::vector<int64_t> sizes_;
};

class DropoutGradient final : public LayerGradient {
 public:
  DropoutGradient(double rate, std::function<uint64_t()> random_word)
      : rate_(rate), random_word_(std::move(random_word)) {}
  at::Tensor Forward(const at::Tensor& input) override {
    if (!random_word_ || rate_ == 0.0) return input;
    mask_ = DropoutMask(input, rate_, random_word_);
    return input * mask_;
  }
  at::Tensor Backward(const at::Tensor& gradient, bool, std::span<double>) override {
    return mask_.defined() ? gradient * mask_ : gradient;
  }

 private:
  double rate_;
  std::function<uint64_t()> random_word_;
  at::Tensor mask_;
};

// Scale and shift of both norms: small enough to be kept for each example.
class NormGradient : public LayerGradient {
 public:
  explicit NormGradient(const LayerParts& parts) : parts_(parts) {}
  void AddScaled(const at::Tensor& factors) final {
    if (!has_affine()) return;
    AddTo(parts_.weight_sum, at::mv(weight_gradients_.t(), factors));
    AddTo(parts_.bias_sum, at::mv(bias_gradients_.t(), factors));
  }

 protected:
  bool has_affine() const { return parts_.weight.defined(); }

  // Both examples x parameters.
  void Keep(const at::Tensor& weight, const at::Tensor& bias, std::span<double> squared_norms) {
    weight_gradients_ = weight.contiguous();
    bias_gradients_ = bias.contiguous();
    const int64_t count = weight.size(1);
    for (size_t i = 0; i < squared_norms.size(); ++i) {
      const int64_t offset = static_cast<int64_t>(i) * count;
      squared_norms[i] += SquaredNorm(weight_gradients_.data_ptr<float>() + offset, count) +
                          SquaredNorm(bias_gradients_.data_ptr<float>() + offset, count);
    }
  }

  LayerParts parts_;
  at::Tensor input_;
  at::Tensor normalized_;
  at::Tensor mean_;
  at::Tensor inverse_deviation_;

 private:
  at::Tensor weight_gradients_;
  at::Tensor bias_gradients_;
};

class GroupNormGradient final : public NormGradient {
 public:
  using NormGradient::NormGradient;
  at::Tensor Forward(const at::Tensor& input) override {
    input_ = input.contiguous();
    const int64_t channels = input.size(1);
    std::tie(normalized_, mean_, inverse_deviation_) = at::native_group_norm(
        input_, {}, {}, input.size(0), channels, area(), parts_.layer.groups, kNormEpsilon);
    if (!has_affine()) return normalized_;
    return at::addcmul(AlongChannels(parts_.bias), normalized_, AlongChannels(parts_.weight));
  }
  at::Tensor Backward(const at::Tensor& gradient, bool is_first,
                      std::span<double> squared_norms) override {
    at::Tensor rows = gradient.contiguous();
    if (has_affine()) {
      const auto sum = [&](const at::Tensor& values) {
        return values.view({input_.size(0), input_.size(1), area()}).sum(2);
      };
      Keep(sum(rows * normalized_), sum(rows), squared_norms);
      if (is_first) return {};
      rows = rows * AlongChannels(parts_.weight);
    }
    return std::get<0>(at::native_group_norm_backward(rows, input_, mean_, inverse_deviation_, {},
                                                      input_.size(0), input_.size(1), area(),
                                                      parts_.layer.groups, {true, false, false}));
  }

 private:
  int64_t area() const { return input_.numel() / (input_.size(0) * input_.size(1)); }
  at::Tensor AlongChannels(const at::Tensor& values) const {
    std::vector<int64_t> sizes(static_cast<size_t>(input_.dim()), 1);
    sizes[1] = values.size(0);
    return values.view(sizes);
  }
};

class LayerNormGradient final : public NormGradient {
 public:
  using NormGradient::NormGradient;
  at::Tensor Forward(const at::Tensor& input) override {
    input_ = input.contiguous();
    std::tie(normalized_, mean_, inverse_deviation_) =
        at::native_layer_norm(input_, {input.size(-1)}, {}, {}, kNormEpsilon);
    return at::addcmul(parts_.bias, normalized_, parts_.weight);
  }
  at::Tensor Backward(const at::Tensor& gradient, bool is_first,
                      std::span<double> squared_norms) override {
    const at::Tensor rows = gradient.contiguous();
    const auto sum = [&](const at::Tensor& values) {
      return values.view({input_.size(0), -1, input_.size(-1)}).sum(1);
    };
    Keep(sum(rows * normalized_), sum(rows), squared_norms);
    if (is_first) return {};
    return std::get<0>(at::native_layer_norm_backward(rows * parts_.weight, input_,
                                                      {input_.size(-1)}, mean_, inverse_deviation_,
                                                      {}, {}, {true, false, false}));
  }
};

// An example's gradient is zero but for the rows it looked up, each the sum over its positions.
class EmbeddingGradient final : public LayerGradient {
 public:
  explicit EmbeddingGradient(const LayerParts& parts) : parts_(parts) {}

  at::Tensor Forward(const at::Tensor& input) override {
    rows_ = input.to(at::kLong).contiguous();
    return at::embedding(parts_.weight, rows_);
  }

  at::Tensor Backward(const at::Tensor& gradient, bool, std::span<double> squared_norms) override {
    gradient_ = gradient.contiguous();
    const auto width = static_cast<size_t>(gradient_.size(2));
    std::vector<double> row_sum(width);
    std::vector<std::pair<int64_t, size_t>> positions(static_cast<size_t>(gradient_.size(1)));
    const int64_t* rows = rows_.data_ptr<int64_t>();
    const float* values = gradient_.data_ptr<float>();
    for (double& norm : squared_norms) {
      for (size_t i = 0; i < positions.size(); ++i) positions[i] = {rows[i], i};
      std::sort(positions.begin(), positions.end());
      for (size_t i = 0; i < positions.size(); ++i) {
        const float* position_values = values + positions[i].second * width;
        for (size_t j = 0; j < width; ++j) row_sum[j] += static_cast<double>(position_values[j]);
        if (i + 1 < positions.size() && positions[i + 1].first == positions[i].first) continue;
        for (double& value : row_sum) {
          norm += value * value;
          value = 0.0;
        }
      }
      rows += positions.size();
      values += positions.size() * width;
    }
    return {};
  }

  void AddScaled(const at::Tensor& factors) override {
    // In double precision like the norm: positions of one row may cancel.
    const int64_t positions = gradient_.size(1);
    const auto width = static_cast<size_t>(gradient_.size(2));
    const float* factor = factors.data_ptr<float>();
    const int64_t* row = rows_.data_ptr<int64_t>();
    const float* values = gradient_.data_ptr<float>();
    for (int64_t i = 0; i < rows_.numel(); ++i, values += width) {
      const auto scale = static_cast<double>(factor[i / positions]);
      double* sum = parts_.weight_sum.data() + static_cast<size_t>(row[i]) * width;
      for (size_t j = 0; j < width; ++j) sum[j] += scale * static_cast<double>(values[j]);
    }
  }

 private:
  LayerParts parts_;
  at::Tensor rows_;
  at::Tensor gradient_;
};

}  // namespace

std::unique_ptr<LayerGradient> MakeLayerGradient(const LayerParts& parts) {
  switch (parts.layer.kind) {
    case LayerKind::kLinear:
      return std::make_unique<LinearGradient>(parts);
    case LayerKind::kConv2d:
      return std::make_unique<Conv2dGradient>(parts);
    case LayerKind::kGroupNorm:
      return std::make_unique<GroupNormGradient>(parts);
    case LayerKind::kLayerNorm:
      return std::make_unique<LayerNormGradient>(parts);
    case LayerKind::kEmbedding:
      return std::make_unique<EmbeddingGradient>(parts);
    case LayerKind::kRelu:
      return std::make_unique<ReluGradient>();
    case LayerKind::kGelu:
      return std::make_unique<GeluGradient>();
    case LayerKind::kTanh:
      return std::make_unique<TanhGradient>();
    case LayerKind::kMaxPool:
      return std::make_unique<MaxPoolGradient>(parts.layer);
    case LayerKind::kAvgPool:
      return std::make_unique<AvgPoolGradient>(parts.layer);
    case LayerKind::kFlatten:
      return std::make_unique<FlattenGradient>();
    case LayerKind::kDropout:
      return std::make_unique<DropoutGradient>(parts.layer.rate, parts.dropout);
    case LayerKind::kScattering:
      break;  // a fixed feature, never part of what is trained
  }
  SKERRY_ASSERT(false);
}

int64_t KeptValues(const LayerConfig& layer, const std::vector<int64_t>& input,
                   const std::vector<int64_t>& output) {
  if (layer.kind == LayerKind::kLinear) {
    return ProductShape{
        .positions = input.size() == 2 ? input[0] : 1, .inputs = input.back(), .outputs = layer.out}
        .kept_values();
  }
  if (layer.kind == LayerKind::kConv2d) {
    return ProductShape{.positions = output[1] * output[2],
                        .inputs = layer.kernel * layer.kernel * input[0],
                        .outputs = layer.out}
        .kept_values();
  }
  return 0;
}

double SquaredNorm(const float* values, int64_t count) {
  // Several sums side by side, so that an addition need not wait for the one before.
  std::array<double, 8> sums{};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (size_t j = 0; j < 8; ++j) {
      const auto value = static_cast<double>(values[i + static_cast<int64_t>(j)]);
      sums[j] += value * value;
    }
  }
  double total = 0.0;
  for (; i < count; ++i) total += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  for (const double sum : sums) total += sum;
  return total;
}

void AddTo(std::span<double> sum, const at::Tensor& values) {
  const at::Tensor dense = values.contiguous();
  SKERRY_ASSERT(static_cast<size_t>(dense.numel()) == sum.size());
  const float* from = dense.data_ptr<float>();
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(from[i]);
}

at::Tensor ChannelsLast(const at::Tensor& images) {
  const int64_t channels = images.size(1);
  const int64_t width = images.size(3);
  const int64_t row = width * channels;
  return images.contiguous(at::MemoryFormat::ChannelsLast)
      .as_strided(images.sizes(), {images.size(2) * row, 1, row, channels});
}

}  // namespace skerry
