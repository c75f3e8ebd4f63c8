// Linear and convolution: an example's weight gradient is the product D^T X of the output's
// gradients D (positions x outputs) and the inputs X (positions x inputs; a convolution's patches).
// Inner header of layer_gradient.cc.
//
// Where the product is small beside its factors, it is made for each example and kept. Elsewhere,
// for one position above all, its norm follows from the factors alone, |D^T X|^2 =
// sum over positions s, t of <d_s, d_t> <x_s, x_t> (Goodfellow 2015, "Efficient Per-Example
// Gradient Computations"; ghost clipping, Li et al. 2022), and the sum of scaled gradients is one
// product over many examples.
#pragma once

#include <vector>

#include "common/ml/layer_gradient.h"
#include "common/ml/patches.h"

namespace skerry {

struct ProductShape {
  int64_t positions = 1;
  int64_t inputs = 1;
  int64_t outputs = 1;

  // Whether the examples' products are made. The other way multiplies once more for the sum and, in
  // double precision, all positions with all others; this one writes and reads the product several
  // times, counted as eight multiplications a value.
  bool is_materialized() const;
  int64_t kept_values() const;
};

class ProductGradient : public LayerGradient {
 public:
  explicit ProductGradient(const LayerParts& parts) : parts_(parts) {}
  void AddScaled(const at::Tensor& factors) final;
  void Finish() final;

 protected:
  // `gradient` is examples x positions x outputs.
  void AddNorms(const ProductShape& shape, const at::Tensor& gradient,
                std::span<double> squared_norms);
  // examples x positions x inputs; valid until the next call if there are few of them.
  virtual at::Tensor Inputs(int64_t begin, int64_t count) = 0;
  // outputs x inputs, in the weight's order.
  virtual at::Tensor InWeightOrder(const at::Tensor& sum) const { return sum; }

  LayerParts parts_;

 private:
  void Materialize(std::span<double> squared_norms);
  void AddGhostNorms(std::span<double> squared_norms);

  ProductShape shape_;
  at::Tensor output_gradient_;
  at::Tensor products_;        // if materialized: examples x outputs x inputs
  at::Tensor bias_gradients_;  // examples x outputs, unless one position makes it output_gradient_
  // If not: scaled factors of the sum that are not multiplied yet, as matrices of rows.
  std::vector<at::Tensor> pending_inputs_;
  std::vector<at::Tensor> pending_gradients_;
  int64_t pending_rows_ = 0;
};

class LinearGradient final : public ProductGradient {
 public:
  using ProductGradient::ProductGradient;
  at::Tensor Forward(const at::Tensor& input) override;
  at::Tensor Backward(const at::Tensor& gradient, bool is_first,
                      std::span<double> squared_norms) override;

 private:
  at::Tensor Inputs(int64_t begin, int64_t count) override;
  at::Tensor input_;
};

class Conv2dGradient final : public ProductGradient {
 public:
  explicit Conv2dGradient(const LayerParts& parts);
  at::Tensor Forward(const at::Tensor& input) override;
  at::Tensor Backward(const at::Tensor& gradient, bool is_first,
                      std::span<double> squared_norms) override;

 private:
  at::Tensor Inputs(int64_t begin, int64_t count) override;
  at::Tensor InWeightOrder(const at::Tensor& sum) const override;

  at::Tensor weight_;  // channels last
  at::Tensor input_;
  PatchGeometry geometry_;
};

}  // namespace skerry
