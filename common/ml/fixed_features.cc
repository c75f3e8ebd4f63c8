#include "common/ml/fixed_features.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <torch/torch.h>

#include "common/base/status.h"
#include "common/config/model_shapes.h"
#include "common/ml/compute.h"
#include "common/ml/network.h"

namespace skerry {
namespace {

constexpr size_t kRowsAtOnce = 64;

absl::StatusOr<std::vector<float>> FeaturesOf(const Network& network, const Dataset& dataset) {
  const at::NoGradGuard no_grad;
  PrepareCompute(/*threads=*/1);
  const auto width = static_cast<size_t>(std::accumulate(
      network.input().begin(), network.input().end(), int64_t{1}, std::multiplies<>()));
  std::vector<float> values;
  values.reserve(dataset.row_count() * width);
  std::vector<uint32_t> rows;
  for (size_t begin = 0; begin < dataset.row_count(); begin += rows.size()) {
    rows.resize(std::min(kRowsAtOnce, dataset.row_count() - begin));
    std::iota(rows.begin(), rows.end(), static_cast<uint32_t>(begin));
    const at::Tensor batch = at::empty(
        {static_cast<int64_t>(rows.size()), static_cast<int64_t>(dataset.example_size())});
    dataset.GatherExamples(rows, batch.data_ptr<float>());
    const at::Tensor features = network.FixedFeatures(batch).contiguous();
    const float* from = features.data_ptr<float>();
    values.insert(values.end(), from, from + rows.size() * width);
  }
  return values;
}

}  // namespace

absl::StatusOr<SharedDataset> WithFixedFeatures(const ModelConfig& model, SharedDataset dataset) {
  SKERRY_ASSIGN_OR_RETURN(const Network network, Network::Create(model));
  if (!network.has_fixed_features()) return dataset;
  if (dataset->example_shape() != InputOf(model)) {
    return absl::InvalidArgumentError(
        fmt::format("the model takes rows of shape [{}], the data has [{}]",
                    fmt::join(InputOf(model), ", "), fmt::join(dataset->example_shape(), ", ")));
  }
  return CatchTorch("computing features failed", [&]() -> absl::StatusOr<SharedDataset> {
    SKERRY_ASSIGN_OR_RETURN(std::vector<float> values, FeaturesOf(network, *dataset));
    return std::make_shared<const Dataset>(
        dataset->WithFeatures(network.input(), std::move(values)));
  });
}

}  // namespace skerry
