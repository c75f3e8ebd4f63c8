// One layer on its way forward and back through a chunk of examples, keeping the gradients of the
// examples apart. Includes LibTorch; inner header of private_gradient.cc.
//
// A layer with parameters adds the squared norm of each example's gradient in Backward, before it
// is known how much the example will be scaled by, and the scaled gradients' sum in AddScaled. What
// it keeps in between is either the gradients themselves or what they are products of.
//
// Functions here may throw c10::Error. One thread; used under NoGradGuard.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include <torch/torch.h>

#include "common/config/job_config.h"

namespace skerry {

class LayerGradient {
 public:
  LayerGradient() = default;
  virtual ~LayerGradient() = default;
  LayerGradient(const LayerGradient&) = delete;
  LayerGradient& operator=(const LayerGradient&) = delete;

  // `input` must stay unchanged until the chunk's AddScaled.
  virtual at::Tensor Forward(const at::Tensor& input) = 0;
  // Takes the losses' gradient with respect to the output and returns that with respect to the
  // input, unless `is_first`: nobody before needs it. Adds to the squared norms, one an example.
  virtual at::Tensor Backward(const at::Tensor& gradient, bool is_first,
                              std::span<double> squared_norms) = 0;
  // Adds each example's gradient times its factor to the sums.
  virtual void AddScaled(const at::Tensor& /*factors*/) {}
  // Adds what AddScaled has put off; called after the last chunk.
  virtual void Finish() {}
};

// What a layer is made from. The sums are in the layout's order, and outlive the layer.
struct LayerParts {
  LayerConfig layer;
  at::Tensor weight;  // undefined: none
  at::Tensor bias;
  std::span<double> weight_sum;
  std::span<double> bias_sum;
  std::function<uint64_t()> dropout;  // random words for masks; empty: no dropout
};

std::unique_ptr<LayerGradient> MakeLayerGradient(const LayerParts& parts);

// Values that a layer keeps for each example until its AddScaled, beside its output.
int64_t KeptValues(const LayerConfig& layer, const std::vector<int64_t>& input,
                   const std::vector<int64_t>& output);

// The squared length in double precision, in which the square of no float overflows.
double SquaredNorm(const float* values, int64_t count);

// sum += values
void AddTo(std::span<double> sum, const at::Tensor& values);

// `images` with the memory order of channels last, also where a dimension of 1 would leave it open.
// LibTorch's pools are up to eight times faster on it.
at::Tensor ChannelsLast(const at::Tensor& images);

}  // namespace skerry
