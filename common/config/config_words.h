// The words of the YAML for every enum of job_config.h: one table each for reading and printing.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

#include "common/base/status.h"
#include "common/config/job_config.h"
#include "common/config/yaml_reader.h"

namespace skerry {

// kLayers has no word: it is chosen by the key model.layers.
inline constexpr EnumWord<ModelName> kModelWords[] = {
    {"mlp", ModelName::kMlp},
    {"cnn", ModelName::kCnn},
    {"cnn_small", ModelName::kCnnSmall},
    {"cnn_small_gn", ModelName::kCnnSmallGn},
};

// What an agent's policy may allow.
inline constexpr EnumWord<ModelName> kPolicyModelWords[] = {
    {"mlp", ModelName::kMlp},
    {"cnn", ModelName::kCnn},
    {"cnn_small", ModelName::kCnnSmall},
    {"cnn_small_gn", ModelName::kCnnSmallGn},
    {"layers", ModelName::kLayers},
};

inline constexpr EnumWord<LayerKind> kLayerWords[] = {
    {"linear", LayerKind::kLinear},
    {"conv2d", LayerKind::kConv2d},
    {"group_norm", LayerKind::kGroupNorm},
    {"layer_norm", LayerKind::kLayerNorm},
    {"embedding", LayerKind::kEmbedding},
    {"relu", LayerKind::kRelu},
    {"gelu", LayerKind::kGelu},
    {"tanh", LayerKind::kTanh},
    {"max_pool", LayerKind::kMaxPool},
    {"avg_pool", LayerKind::kAvgPool},
    {"flatten", LayerKind::kFlatten},
    {"dropout", LayerKind::kDropout},
    {"scattering", LayerKind::kScattering},
};

inline constexpr EnumWord<DatasetKind> kDatasetWords[] = {
    {"fashion_mnist", DatasetKind::kFashionMnist},
    {"mnist", DatasetKind::kMnist},
    {"idx", DatasetKind::kIdx},
    {"csv", DatasetKind::kCsv},
    {"npy", DatasetKind::kNpy},
};

inline constexpr EnumWord<PartitionScheme> kPartitionWords[] = {
    {"iid", PartitionScheme::kIid},
    {"dirichlet", PartitionScheme::kDirichlet},
    {"shards", PartitionScheme::kShards},
    {"column", PartitionScheme::kColumn},
};

inline constexpr EnumWord<OptimizerName> kOptimizerWords[] = {
    {"sgd", OptimizerName::kSgd},
    {"adam", OptimizerName::kAdam},
    {"adamw", OptimizerName::kAdamW},
};

inline constexpr EnumWord<LossName> kLossWords[] = {
    {"cross_entropy", LossName::kCrossEntropy},
    {"bce", LossName::kBce},
    {"mse", LossName::kMse},
};

inline constexpr EnumWord<StrategyName> kStrategyWords[] = {
    {"fedavg", StrategyName::kFedAvg},   {"fedprox", StrategyName::kFedProx},
    {"fedavgm", StrategyName::kFedAvgM}, {"fedadam", StrategyName::kFedAdam},
    {"fedyogi", StrategyName::kFedYogi}, {"fedadagrad", StrategyName::kFedAdagrad},
};

inline constexpr EnumWord<PrivacyUnit> kPrivacyUnitWords[] = {
    {"record", PrivacyUnit::kRecord},
    {"client", PrivacyUnit::kClient},
};

inline constexpr EnumWord<Adjacency> kAdjacencyWords[] = {
    {"add_remove", Adjacency::kAddRemove},
    {"replace_one", Adjacency::kReplaceOne},
};

inline constexpr EnumWord<NoisePlacement> kPlacementWords[] = {
    {"distributed", NoisePlacement::kDistributed},
    {"agent", NoisePlacement::kAgent},
    {"coordinator", NoisePlacement::kCoordinator},
};

inline constexpr EnumWord<PrivacyObserver> kObserverWords[] = {
    {"insider", PrivacyObserver::kInsider},
    {"public", PrivacyObserver::kPublic},
};

inline constexpr EnumWord<SamplingScheme> kSamplingWords[] = {
    {"poisson", SamplingScheme::kPoisson},
    {"fixed", SamplingScheme::kFixed},
};

// The word for `value`, which must be in the table.
template <typename Enum, size_t N>
std::string_view WordFor(Enum value, const EnumWord<Enum> (&words)[N]) {
  const auto* found = std::find_if(std::begin(words), std::end(words),
                                   [&](const auto& word) { return word.value == value; });
  SKERRY_ASSERT(found != std::end(words));
  return found->word;
}

}  // namespace skerry
