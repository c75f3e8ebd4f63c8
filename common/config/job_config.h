// One federated job as the user wrote it, typed and with every default filled in. Read from YAML
// by job_loader.h; the resolved text (`skerry-coordinator check`) is also what an agent is sent, so
// there is one description of a job and one strict parser for it.
//
// Plain data: no invariants beyond what ValidateJob (job_loader.h) proves.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace skerry {

using Milliseconds = std::chrono::milliseconds;

// ---- model ------------------------------------------------------------------------------------

enum class ModelName { kMlp, kCnn, kCnnSmall, kCnnSmallGn, kLayers };

enum class LayerKind {
  kLinear,
  kConv2d,
  kGroupNorm,
  kLayerNorm,
  kEmbedding,  // have parameters (group_norm unless told otherwise)
  kRelu,
  kGelu,
  kTanh,
  kMaxPool,
  kAvgPool,
  kFlatten,
  kDropout,
  kScattering,  // have none
};

// One entry of model.layers. Only the fields of its kind are set; inputs follow from the layer
// before (model_shapes.h).
struct LayerConfig {
  LayerKind kind = LayerKind::kRelu;
  int64_t out = 0;         // linear, conv2d: output features or channels
  int64_t kernel = 0;      // conv2d, max_pool, avg_pool: square window
  int64_t stride = 1;      // conv2d; pools default to `kernel`
  int64_t padding = 0;     // conv2d, pools
  int64_t groups = 0;      // group_norm
  int64_t count = 0;       // embedding: rows
  int64_t dimension = 0;   // embedding: columns
  double rate = 0.0;       // dropout: probability of zero, [0, 1)
  int64_t scales = 2;      // scattering: octaves; the image becomes 2^scales times smaller
  int64_t angles = 8;      // scattering: orientations within half a turn
  bool has_bias = true;    // linear, conv2d (YAML key: bias)
  bool has_affine = true;  // group_norm: a scale and shift to train (YAML key: affine)
  int line = 0;            // of the YAML, for error messages
  bool operator==(const LayerConfig&) const = default;
};

struct ModelConfig {
  ModelName name = ModelName::kMlp;
  std::vector<LayerConfig> layers{};  // kLayers only
  std::vector<int64_t> input{};  // kLayers only: shape of one example, e.g. [13] or [1, 28, 28]
  std::optional<std::string> initial{};  // safetensors file on the coordinator
  int line = 0;
  bool operator==(const ModelConfig&) const = default;
};

// ---- data -------------------------------------------------------------------------------------

enum class DatasetKind { kFashionMnist, kMnist, kIdx, kCsv, kNpy };
enum class PartitionScheme { kIid, kDirichlet, kShards, kColumn };

struct PartitionConfig {
  PartitionScheme scheme = PartitionScheme::kIid;
  double alpha = 0.5;           // dirichlet, > 0
  int64_t shards_per_node = 2;  // shards (YAML key: per_node)
  std::string column{};         // column (CSV; YAML key: name): one node per distinct value, sorted
  bool operator==(const PartitionConfig&) const = default;
};

// What an image's pixels, 0..1, become before a model sees them: (value - mean) / std. Part of the
// model in all but name, so a job's holds for every node.
struct Normalization {
  double mean = 0.0;
  double std = 1.0;
  bool operator==(const Normalization&) const = default;
};

struct DataConfig {
  std::string id{};  // names the data in ledgers and policies
  DatasetKind dataset = DatasetKind::kFashionMnist;
  std::string path{};                      // folder (fashion_mnist, mnist, idx, npy) or file (csv)
  std::string label{};                     // csv: name of the label column
  std::optional<std::string> test_path{};  // where the coordinator's test set is; absent: the
                                           // t10k/test files beside the training files, if any
  int64_t examples_max = 0;                // use at most so many training rows in all; 0: all
  Normalization normalization;             // fashion_mnist, mnist, idx (YAML key: normalize)
  PartitionConfig partition;
  bool operator==(const DataConfig&) const = default;
};

// Whether the examples are images of bytes.
inline bool HasPixels(const DataConfig& data) {
  return data.dataset == DatasetKind::kFashionMnist || data.dataset == DatasetKind::kMnist ||
         data.dataset == DatasetKind::kIdx;
}

// ---- training and strategy --------------------------------------------------------------------

enum class OptimizerName { kSgd, kAdam, kAdamW };
enum class LossName { kCrossEntropy, kBce, kMse };

struct OptimizerConfig {
  OptimizerName name = OptimizerName::kSgd;
  double learning_rate = 0.1;
  double momentum = 0.0;  // sgd
  double beta1 = 0.9;     // adam, adamw
  double beta2 = 0.999;   // adam, adamw
  double epsilon = 1e-8;  // adam, adamw
  double weight_decay = 0.0;
  bool operator==(const OptimizerConfig&) const = default;
};

struct TrainingConfig {
  int64_t local_epochs = 1;  // 0 sends the model back untouched (measures the transport alone)
  int64_t batch_size = 32;
  OptimizerConfig optimizer;
  LossName loss = LossName::kCrossEntropy;
  bool operator==(const TrainingConfig&) const = default;
};

enum class StrategyName { kFedAvg, kFedProx, kFedAvgM, kFedAdam, kFedYogi, kFedAdagrad };

struct StrategyConfig {
  StrategyName name = StrategyName::kFedAvg;
  double mu = 0.01;            // fedprox: weight of the proximal term, done by the agent
  double learning_rate = 1.0;  // server learning rate; fedadam, fedyogi, fedadagrad default 0.01
  double momentum = 0.9;       // fedavgm
  double beta1 = 0.9;          // fedadam, fedyogi, fedadagrad
  double beta2 = 0.99;         // fedadam, fedyogi
  double tau = 1e-3;           // fedadam, fedyogi, fedadagrad: adaptivity
  bool operator==(const StrategyConfig&) const = default;
};

// fedadam, fedyogi, fedadagrad: Reddi et al. 2021, "Adaptive Federated Optimization".
bool IsAdaptive(StrategyName name);

// ---- the round --------------------------------------------------------------------------------

struct RoundConfig {
  int64_t count = 10;
  int64_t nodes = 8;                   // the roster the job is planned for
  double cohort_fraction = 1.0;        // (0, 1]
  double over_selection = 1.0;         // [1, 4]: invites so many times the cohort
  int64_t quorum = 1;                  // updates without which a round cannot commit
  Milliseconds stall_timeout{30'000};  // quorum met: nodes without progress for so long are cut
  Milliseconds wait_timeout{900'000};  // quorum not met: how long the round waits
  bool operator==(const RoundConfig&) const = default;
};

struct EncodingConfig {
  double range = 8.0;         // each coordinate of an update is clamped to [-range, range]
  int64_t weight_cap = 7500;  // a node's example count weighs at most so much
  bool operator==(const EncodingConfig&) const = default;
};

enum class PrivacyUnit { kRecord, kClient };
enum class Adjacency { kAddRemove, kReplaceOne };
enum class NoisePlacement { kDistributed, kAgent, kCoordinator };
enum class SamplingScheme { kPoisson, kFixed };
// Whom a job's epsilon is held against: somebody who sees which nodes take part in a round, or
// somebody who sees models and reports only, while cohorts are drawn in secret.
enum class PrivacyObserver { kInsider, kPublic };

struct SamplingConfig {
  SamplingScheme scheme = SamplingScheme::kPoisson;
  // (0, 1]: with which probability a record is in a step, or a node in a secret cohort
  double rate = 0.01;
  bool operator==(const SamplingConfig&) const = default;
};

// A clip norm that follows a quantile of the update norms; unit client only.
struct AdaptiveClipConfig {
  double target_quantile = 0.5;  // of the nodes, whose updates are to be within the clip
  double learning_rate = 0.2;
  double initial = 0.1;
  // Standard deviation of the noise in the sum of the nodes' bits; unset: a twentieth of the
  // cohort.
  std::optional<double> bit_noise{};
  bool operator==(const AdaptiveClipConfig&) const = default;
};

struct PrivacyConfig {
  bool enabled = false;
  PrivacyUnit unit = PrivacyUnit::kRecord;
  // One of the two suffices: the other follows, for the planned rounds (common/privacy).
  std::optional<double> epsilon{};
  std::optional<double> noise_multiplier{};  // standard deviation of the noise over clip_norm
  double delta = 1e-5;
  Adjacency adjacency = Adjacency::kAddRemove;
  PrivacyObserver observer = PrivacyObserver::kInsider;
  NoisePlacement placement = NoisePlacement::kAgent;
  double clip_norm = 1.0;  // with adaptive_clip the largest that it may become
  std::optional<AdaptiveClipConfig> adaptive_clip{};
  int64_t records = 0;  // unit record: training records of all nodes together, a public number
  SamplingConfig sampling;
  bool operator==(const PrivacyConfig&) const = default;
};

struct SecAggConfig {
  bool enabled = false;
  // Nodes that may conspire with the coordinator; if enabled, a job that says nothing gets
  // DefaultColluders (secagg_rules.h) of round.nodes.
  int64_t colluders = 0;
  int64_t dropout_tolerance = 0;  // nodes that may leave in the middle of a round
  int64_t min_survivors = 1;      // updates below which no sum is opened
  int64_t ring_bits = 32;
  bool operator==(const SecAggConfig&) const = default;
};

struct EvaluationConfig {
  int64_t every_rounds = 1;  // on the coordinator's test set; 0: only after the last round
  bool on_nodes = false;     // weighted, on each node's held-out rows, through the aggregate
  double held_out = 0.1;     // on_nodes: fraction of a node's rows kept out of training
  bool operator==(const EvaluationConfig&) const = default;
};

struct StorageConfig {
  int64_t checkpoint_every = 1;
  int64_t keep_models = 5;  // newest so many checkpoints are kept; the last model always is
  bool operator==(const StorageConfig&) const = default;
};

struct TransportConfig {
  std::string listen = "tcp://*:7700";  // or ipc://path
  int64_t uploads_in_memory = 2;
  int64_t slot_rate_min = 131'072;  // bytes a second; a slower upload moves to a spool file
  int64_t chunk_bytes = 262'144;
  bool operator==(const TransportConfig&) const = default;
};

struct JobConfig {
  int64_t version = 1;
  uint64_t seed = 0;
  // Set by `skerry-coordinator rehearse`: nodes load their data and send zeros, which no noise has
  // to hide and no budget pays for. Part of the job, so that nobody can be told another thing
  // unnoticed.
  bool is_rehearsal = false;
  ModelConfig model;
  DataConfig data;
  TrainingConfig training;
  StrategyConfig strategy;
  RoundConfig round;
  EncodingConfig encoding;
  PrivacyConfig privacy;
  SecAggConfig secagg;
  EvaluationConfig evaluation;
  StorageConfig storage;
  TransportConfig transport;
  bool operator==(const JobConfig&) const = default;
};

// Whether one round is one optimiser step: nodes send sums of clipped gradients, and the strategy
// takes the optimiser's place.
inline bool IsGradientRound(const PrivacyConfig& privacy) {
  return privacy.enabled && privacy.unit == PrivacyUnit::kRecord &&
         privacy.placement == NoisePlacement::kDistributed;
}

// Nodes a round needs updates from: round(cohort_fraction * nodes), at least 1.
int64_t CohortSize(const RoundConfig& round);
// Nodes a round invites: ceil(CohortSize * over_selection), at most `nodes`.
int64_t InvitedCount(const RoundConfig& round);

}  // namespace skerry
