#include "common/ml/product_gradient.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace skerry {
namespace {

// Examples whose inputs are laid out at once: as many as fit in half of a core's second-level
// cache.
constexpr int64_t kInputBytes = 512 << 10;
// Rows of a sum of products are collected until the product is large enough to be fast and to be
// worth a walk over the weight.
constexpr int64_t kPendingRows = 512;
// The sum of products is made in float, so where the terms of an example's product cancel it holds
// an error beside what their exact sum has. It is taken as so much of the terms' lengths together,
// 67 times float's unit of rounding, and counted into the norm.
constexpr double kSumError = 4e-6;

}  // namespace

bool ProductShape::is_materialized() const {
  const int64_t product = inputs * outputs;
  const int64_t ghost = 2 * positions * positions * (inputs + outputs) + positions * product;
  return positions * product + 8 * product < ghost;
}

int64_t ProductShape::kept_values() const {
  if (is_materialized()) return inputs * outputs + outputs;
  // The factors, with several positions also in double precision with their inner products.
  const int64_t factors = positions * (inputs + outputs);
  return positions == 1 ? factors : 3 * factors + 4 * positions * positions;
}

void ProductGradient::AddNorms(const ProductShape& shape, const at::Tensor& gradient,
                               std::span<double> squared_norms) {
  shape_ = shape;
  output_gradient_ = gradient;
  if (shape.is_materialized()) {
    Materialize(squared_norms);
  } else {
    AddGhostNorms(squared_norms);
  }
  if (parts_.bias_sum.empty()) return;
  bias_gradients_ = shape.positions == 1 ? gradient.squeeze(1) : gradient.sum(1);
  const float* bias = bias_gradients_.data_ptr<float>();
  for (double& norm : squared_norms) {
    norm += SquaredNorm(bias, shape.outputs);
    bias += shape.outputs;
  }
}

void ProductGradient::Materialize(std::span<double> squared_norms) {
  const auto examples = static_cast<int64_t>(squared_norms.size());
  const int64_t input_bytes =
      shape_.positions * shape_.inputs * static_cast<int64_t>(sizeof(float));
  const int64_t step = std::max<int64_t>(1, kInputBytes / input_bytes);
  const int64_t product_values = shape_.outputs * shape_.inputs;
  if (!products_.defined() || products_.size(0) < examples) {
    products_ = at::empty({examples, shape_.outputs, shape_.inputs}, at::kFloat);
  }
  for (int64_t begin = 0; begin < examples; begin += step) {
    const int64_t count = std::min(step, examples - begin);
    at::Tensor products = products_.narrow(0, begin, count);
    at::bmm_out(products, output_gradient_.narrow(0, begin, count).transpose(1, 2),
                Inputs(begin, count));
    const float* values = products.data_ptr<float>();
    for (int64_t i = 0; i < count; ++i) {
      squared_norms[static_cast<size_t>(begin + i)] +=
          SquaredNorm(values + i * product_values, product_values);
    }
  }
}

void ProductGradient::AddGhostNorms(std::span<double> squared_norms) {
  const auto examples = static_cast<int64_t>(squared_norms.size());
  const at::Tensor inputs = Inputs(0, examples);
  pending_inputs_.push_back(inputs.reshape({examples * shape_.positions, shape_.inputs}));
  if (shape_.positions == 1) {
    const float* input = inputs.data_ptr<float>();
    const float* gradient = output_gradient_.data_ptr<float>();
    for (double& norm : squared_norms) {
      norm += SquaredNorm(input, shape_.inputs) * SquaredNorm(gradient, shape_.outputs);
      input += shape_.inputs;
      gradient += shape_.outputs;
    }
    return;
  }
  // In double precision, because the terms of a small norm may cancel.
  const auto inner_products = [](const at::Tensor& rows) {
    const at::Tensor exact = rows.to(at::kDouble);
    return at::bmm(exact, exact.transpose(1, 2));
  };
  const at::Tensor terms = inner_products(inputs) * inner_products(output_gradient_);
  const at::Tensor squares = terms.sum({1, 2}).contiguous();
  const at::Tensor lengths = terms.diagonal(0, 1, 2).sqrt().sum(1).contiguous();
  const double* square = squares.data_ptr<double>();
  const double* length = lengths.data_ptr<double>();
  for (double& norm : squared_norms) {
    // Rounding may leave a zero slightly below zero; NaN must stay.
    const double exact = std::sqrt(*square < 0.0 ? 0.0 : *square);
    const double bound = exact + kSumError * *length;
    norm += bound * bound;
    ++square;
    ++length;
  }
}

void ProductGradient::AddScaled(const at::Tensor& factors) {
  const int64_t examples = factors.size(0);
  if (!parts_.bias_sum.empty()) AddTo(parts_.bias_sum, at::mv(bias_gradients_.t(), factors));
  if (shape_.is_materialized()) {
    const at::Tensor products = products_.narrow(0, 0, examples).view({examples, -1});
    const at::Tensor sum = at::mv(products.t(), factors);
    AddTo(parts_.weight_sum, InWeightOrder(sum.view({shape_.outputs, shape_.inputs})));
    return;
  }
  pending_gradients_.push_back((output_gradient_ * factors.view({examples, 1, 1}))
                                   .view({examples * shape_.positions, shape_.outputs}));
  pending_rows_ += examples * shape_.positions;
  if (pending_rows_ >= kPendingRows) Finish();
}

void ProductGradient::Finish() {
  if (pending_gradients_.empty()) return;
  const at::Tensor sum = at::mm(at::cat(pending_gradients_).t(), at::cat(pending_inputs_));
  AddTo(parts_.weight_sum, InWeightOrder(sum));
  pending_inputs_.clear();
  pending_gradients_.clear();
  pending_rows_ = 0;
}

at::Tensor LinearGradient::Forward(const at::Tensor& input) {
  input_ = input.contiguous();
  return at::linear(input_, parts_.weight, parts_.bias);
}

at::Tensor LinearGradient::Backward(const at::Tensor& gradient, bool is_first,
                                    std::span<double> squared_norms) {
  const at::Tensor rows = gradient.contiguous();
  const ProductShape shape = {.positions = input_.dim() == 3 ? input_.size(1) : 1,
                              .inputs = parts_.weight.size(1),
                              .outputs = parts_.weight.size(0)};
  AddNorms(shape, rows.view({input_.size(0), shape.positions, shape.outputs}), squared_norms);
  return is_first ? at::Tensor() : at::matmul(rows, parts_.weight);
}

at::Tensor LinearGradient::Inputs(int64_t begin, int64_t count) {
  return input_.narrow(0, begin, count)
      .view({count, input_.dim() == 3 ? input_.size(1) : 1, parts_.weight.size(1)});
}

Conv2dGradient::Conv2dGradient(const LayerParts& parts)
    : ProductGradient(parts), weight_(ChannelsLast(parts.weight)) {}

at::Tensor Conv2dGradient::Forward(const at::Tensor& input) {
  input_ = ChannelsLast(input);
  geometry_ = {.channels = input.size(1),
               .height = input.size(2),
               .width = input.size(3),
               .kernel = parts_.layer.kernel,
               .stride = parts_.layer.stride,
               .padding = parts_.layer.padding};
  return at::conv2d(input_, weight_, parts_.bias, parts_.layer.stride, parts_.layer.padding);
}

at::Tensor Conv2dGradient::Backward(const at::Tensor& gradient, bool is_first,
                                    std::span<double> squared_norms) {
  const at::Tensor images = ChannelsLast(gradient);
  const ProductShape shape = {.positions = geometry_.position_count(),
                              .inputs = geometry_.patch_size(),
                              .outputs = images.size(1)};
  AddNorms(shape,
           images.permute({0, 2, 3, 1}).view({images.size(0), shape.positions, shape.outputs}),
           squared_norms);
  if (is_first) return {};
  const std::array<int64_t, 2> stride = {geometry_.stride, geometry_.stride};
  const std::array<int64_t, 2> padding = {geometry_.padding, geometry_.padding};
  return std::get<0>(at::convolution_backward(images, input_, weight_, c10::nullopt, stride,
                                              padding, {1, 1}, false, {0, 0}, 1,
                                              {true, false, false}));
}

at::Tensor Conv2dGradient::Inputs(int64_t begin, int64_t count) {
  const at::Tensor patches =
      at::empty({count, geometry_.position_count(), geometry_.patch_size()}, at::kFloat);
  const int64_t image_values = geometry_.channels * geometry_.height * geometry_.width;
  const int64_t patch_values = geometry_.position_count() * geometry_.patch_size();
  for (int64_t i = 0; i < count; ++i) {
    UnfoldPatches(geometry_, input_.data_ptr<float>() + (begin + i) * image_values,
                  patches.data_ptr<float>() + i * patch_values);
  }
  return patches;
}

at::Tensor Conv2dGradient::InWeightOrder(const at::Tensor& sum) const {
  return sum.view({sum.size(0), geometry_.kernel, geometry_.kernel, geometry_.channels})
      .permute({0, 3, 1, 2});
}

}  // namespace skerry
