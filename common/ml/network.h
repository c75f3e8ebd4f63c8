// A model as LibTorch operations. The one header that includes LibTorch: for the sources of this
// library and for the agent's folders that may use LibTorch too.
//
// Functions here may throw c10::Error; who calls them turns it into a status (see CatchTorch).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "absl/status/statusor.h"
#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/config/model_shapes.h"
#include "common/tensor/parameter_vector.h"

namespace skerry {

class Scattering;

// The layers of a model and how each uses the parameters. Immutable and without parameters of its
// own, so that one network serves training tensors and a shared model's memory alike.
//
// A model that begins with a scattering layer has fixed features: what comes before its first layer
// with parameters or dropout never changes, so it is computed once for each example
// (fixed_features.h), and the rest of the network begins there.
class Network {
 public:
  struct Step {
    LayerConfig layer;
    int weight = -1;  // position in the layout; -1: none
    int bias = -1;
  };

  static absl::StatusOr<Network> Create(const ModelConfig& model);

  const ParameterLayoutPtr& layout() const { return layout_; }
  // What one example is to Forward: the model's input, or its fixed features.
  const std::vector<int64_t>& input() const { return shapes_.input; }
  const std::vector<int64_t>& output() const { return shapes_.output; }
  const std::vector<Step>& steps() const { return steps_; }
  const ModelShapes& shapes() const { return shapes_; }  // of the layers: one for each step

  bool has_fixed_features() const { return !fixed_steps_.empty(); }
  // `batch` holds one example of the model a row. Each row's features depend on that row alone.
  at::Tensor FixedFeatures(const at::Tensor& batch) const;

  // `batch` holds one example a row; `parameters` are in the layout's order. Draws dropout's masks
  // from `dropout`, or leaves dropout out if it is null (evaluation).
  at::Tensor Forward(const at::Tensor& batch, const std::vector<at::Tensor>& parameters,
                     Rng* dropout) const;

 private:
  at::Tensor Apply(const Step& step, const at::Tensor& x, const std::vector<at::Tensor>& parameters,
                   Rng* dropout) const;

  void SplitFixedSteps();

  ModelShapes shapes_;
  ParameterLayoutPtr layout_;
  std::vector<Step> steps_;
  std::vector<Step> fixed_steps_;                 // before steps_
  std::vector<int64_t> fixed_input_;              // of the first of them
  std::shared_ptr<const Scattering> scattering_;  // the first of them
};

// Added to the variance by both norms; torch::nn's default.
inline constexpr double kNormEpsilon = 1e-5;

// What dropout multiplies `like` by: 1/(1 - rate) with probability 1 - rate, else 0. Drawn
// from the caller's random words: LibTorch's global generator is shared by all workers of a
// process, so a node's result would depend on its neighbours.
at::Tensor DropoutMask(const at::Tensor& like, double rate,
                       const std::function<uint64_t()>& random_word);

// One tensor for each of the layout's, over the model's own memory (not written, must outlive the
// tensors) on the CPU, copied on another device.
std::vector<at::Tensor> ParametersOf(const ParameterVector& model, const at::Device& device);

// Calls `function`, which returns a status or StatusOr, and turns what LibTorch throws into
// kInternal, or kResourceExhausted for a lack of memory.
absl::Status StatusOfException(const std::exception& exception, const std::string& what);
template <typename Function>
auto CatchTorch(const std::string& what, const Function& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::exception& exception) {
    return StatusOfException(exception, what);
  }
}

}  // namespace skerry
