#include "common/config/job_printer.h"

#include <cstdlib>

#include "common/base/rng.h"
#include "tests/common/config/job_text.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

uint64_t TestSeed() {
  const char* seed = std::getenv("SKERRY_TEST_SEED");
  return seed == nullptr ? 20'261'124 : std::strtoull(seed, nullptr, 10);
}

// Draws jobs that obey every rule.
class JobGenerator {
 public:
  explicit JobGenerator(uint64_t seed) : rng_(Rng::Derive(seed, "job_printer_test")) {}

  JobConfig Next() {
    JobConfig job;
    job.seed = rng_.NextU64();
    const bool has_layers = Coin();
    job.model = has_layers ? LayersModel() : BuiltInModel();
    if (Coin()) job.model.initial = Text();
    job.data = Data(has_layers);
    job.training = Training(has_layers);
    job.strategy = Strategy();
    job.round = Round();
    job.encoding = {.range = Real(0.001, 1024), .weight_cap = Integer(1, 1'000'000)};
    job.privacy = {
        .unit = Coin() ? PrivacyUnit::kRecord : PrivacyUnit::kClient,
        .epsilon = Real(0.01, 100),
        .delta = Real(1e-12, 0.5),
        .adjacency = Coin() ? Adjacency::kAddRemove : Adjacency::kReplaceOne,
        .observer = Coin() ? PrivacyObserver::kInsider : PrivacyObserver::kPublic,
        .placement = static_cast<NoisePlacement>(rng_.Below(3)),
        .clip_norm = Real(0.01, 100),
        .adaptive_clip = Coin() ? std::optional<AdaptiveClipConfig>() : AdaptiveClip(),
        .sampling = {Coin() ? SamplingScheme::kPoisson : SamplingScheme::kFixed, Real(0.001, 1)}};
    job.secagg = {.colluders = Integer(0, 9),
                  .dropout_tolerance = Integer(0, 9),
                  .min_survivors = Integer(1, 9),
                  .ring_bits = Integer(16, 64)};
    job.evaluation = {Integer(0, 9), Coin(), Real(0.01, 0.9)};
    job.storage = {Integer(1, 99), Integer(1, 99)};
    job.transport = {Coin() ? "tcp://127.0.0.1:0" : "ipc:///tmp/a b#c", Integer(1, 9),
                     Integer(1, 1'000'000), Integer(4096, 4'194'304)};
    return job;
  }

 private:
  AdaptiveClipConfig AdaptiveClip() {
    return {.target_quantile = Real(0.1, 0.9),
            .learning_rate = Real(0.01, 1),
            .initial = Real(0.001, 0.01),
            .bit_noise = Coin() ? std::nullopt : std::optional<double>(Real(0.1, 100))};
  }
  bool Coin() { return rng_.Below(2) == 0; }
  int64_t Integer(int64_t min, int64_t max) {
    return min + static_cast<int64_t>(rng_.Below(static_cast<uint64_t>(max - min + 1)));
  }
  double Real(double min, double max) { return min + (max - min) * rng_.Uniform(); }

  // Whatever a text may hold and YAML might take for something else.
  std::string Text() {
    static const std::vector<std::string> kOdd = {
        "null", "~",  "true", "no",     "5",    "1e3", " a ",        "#x", "a: b",  "- a", "'",
        "\"",   "\\", "\\n",  "[a, b]", "{a}",  "&a",  "*a",         "!a", "%a",    "@a",  "`",
        "a #b", "?",  "|",    ">",      "a\"b", "---", "\xC3\xA9 x", "<<", "a/b-c", "...", "=",
    };
    if (Coin()) return kOdd[rng_.Below(kOdd.size())];
    std::string text;
    for (int64_t i = Integer(1, 12); i > 0; --i) {
      text += static_cast<char>(Integer(0x20, 0x7E));
    }
    return text;
  }

  ModelConfig BuiltInModel() {
    ModelConfig model;
    model.name = static_cast<ModelName>(rng_.Below(4));
    return model;
  }

  ModelConfig LayersModel() {
    std::vector<LayerConfig> layers = {
        {.kind = LayerKind::kConv2d,
         .out = 4 * Integer(1, 8),
         .kernel = Integer(1, 5),
         .stride = Integer(1, 2),
         .padding = Integer(0, 2),
         .has_bias = Coin()},
        {.kind = LayerKind::kGroupNorm, .groups = Integer(1, 2) * 2, .has_affine = Coin()},
        {.kind = Coin() ? LayerKind::kRelu : LayerKind::kGelu},
        {.kind = Coin() ? LayerKind::kMaxPool : LayerKind::kAvgPool,
         .kernel = 2,
         .stride = Integer(1, 3),
         .padding = Integer(0, 1)},
        {.kind = LayerKind::kFlatten},
        {.kind = LayerKind::kLayerNorm},
        {.kind = LayerKind::kDropout, .rate = Real(0, 0.9)},
        {.kind = LayerKind::kLinear, .out = 1, .has_bias = Coin()}};
    if (Coin()) {
      layers.insert(
          layers.begin(),
          {.kind = LayerKind::kScattering, .scales = Integer(1, 3), .angles = Integer(1, 3)});
      // Too small an image for large windows by now.
      layers[1].kernel = layers[1].stride = 1;
      layers[4].kernel = 1;
      layers[4].padding = 0;
    }
    return {.name = ModelName::kLayers,
            .layers = std::move(layers),
            .input = {Integer(1, 3), Integer(10, 20), Integer(10, 20)},
            .initial = std::nullopt};
  }

  DataConfig Data(bool is_csv) {
    DataConfig data;
    data.id = "id-" + std::to_string(Integer(0, 999));
    data.dataset = is_csv ? DatasetKind::kCsv : DatasetKind::kIdx;
    data.path = Text();
    if (is_csv) data.label = Text();
    if (Coin()) data.test_path = Text();
    data.examples_max = Integer(0, 1000);
    if (!is_csv && Coin()) data.normalization = {.mean = Real(-1, 1), .std = Real(0.1, 2)};
    data.partition.scheme = static_cast<PartitionScheme>(rng_.Below(is_csv ? 4 : 3));
    if (data.partition.scheme == PartitionScheme::kDirichlet) data.partition.alpha = Real(0.01, 9);
    if (data.partition.scheme == PartitionScheme::kShards) {
      data.partition.shards_per_node = Integer(1, 9);
    }
    if (data.partition.scheme == PartitionScheme::kColumn) data.partition.column = Text();
    return data;
  }

  TrainingConfig Training(bool has_one_output) {
    TrainingConfig training;
    training.local_epochs = Integer(0, 9);
    training.batch_size = Integer(1, 999);
    if (has_one_output) training.loss = Coin() ? LossName::kBce : LossName::kMse;
    training.optimizer = {.name = static_cast<OptimizerName>(rng_.Below(3)),
                          .learning_rate = Real(1e-6, 1),
                          .weight_decay = Real(0, 1)};
    if (training.optimizer.name == OptimizerName::kSgd) {
      training.optimizer.momentum = Real(0, 0.99);
    } else {
      training.optimizer.beta1 = Real(0, 0.99);
      training.optimizer.beta2 = Real(0, 0.99);
      training.optimizer.epsilon = Real(1e-9, 1e-3);
    }
    return training;
  }

  StrategyConfig Strategy() {
    StrategyConfig strategy;
    strategy.name = static_cast<StrategyName>(rng_.Below(6));
    strategy.learning_rate = Real(1e-6, 1);
    if (strategy.name == StrategyName::kFedProx) strategy.mu = Real(0, 1);
    if (strategy.name == StrategyName::kFedAvgM) strategy.momentum = Real(0, 0.99);
    if (IsAdaptive(strategy.name)) {
      strategy.beta1 = Real(0, 0.99);
      strategy.tau = Real(1e-9, 1);
      if (strategy.name != StrategyName::kFedAdagrad) strategy.beta2 = Real(0, 0.99);
    }
    return strategy;
  }

  RoundConfig Round() {
    RoundConfig round;
    round.count = Integer(1, 999);
    round.nodes = Integer(1, 1000);
    round.cohort_fraction = Real(0.01, 1);
    const double room = static_cast<double>(round.nodes) / static_cast<double>(CohortSize(round));
    round.over_selection = Real(1, std::min(4.0, room));
    round.quorum = Integer(1, CohortSize(round));
    round.stall_timeout = Milliseconds(Integer(100, 1'000'000));
    round.wait_timeout = Milliseconds(Integer(100, 1'000'000));
    return round;
  }

  Rng rng_;
};

JobConfig WithoutLines(JobConfig job) {
  job.model.line = 0;
  for (LayerConfig& layer : job.model.layers) layer.line = 0;
  return job;
}

TEST(JobPrinterTest, EveryValidJobReadsBackEqual) {
  const uint64_t seed = TestSeed();
  SCOPED_TRACE("SKERRY_TEST_SEED=" + std::to_string(seed));
  JobGenerator generator(seed);
  for (int i = 0; i < 300; ++i) {
    const JobConfig job = generator.Next();
    const std::string text = ResolvedYaml(job);

    const auto read = ParseJob(text, "resolved");

    ASSERT_OK(read) << text;
    ASSERT_EQ(WithoutLines(*read), job) << text;
    ASSERT_EQ(ResolvedYaml(*read), text);
  }
}

TEST(JobPrinterTest, SmallestJobIsPrintedWithEveryDefault) {
  ASSERT_OK_AND_ASSIGN(const JobConfig job,
                       ParseJob(kSmallJob, "job.yaml", {"encoding.range=0.1"}));

  EXPECT_EQ(ResolvedYaml(job), R"(version: 1
seed: 0
model:
  name: mlp
  initial: null
data:
  id: fashion
  dataset: fashion_mnist
  path: /usr/share/datasets/fashion-mnist
  test_path: null
  examples_max: 0
  normalize:
    mean: 0
    std: 1
  partition:
    scheme: iid
training:
  local_epochs: 1
  batch_size: 32
  optimizer:
    name: sgd
    learning_rate: 0.1
    momentum: 0
    weight_decay: 0
  loss: cross_entropy
strategy:
  name: fedavg
  learning_rate: 1
round:
  count: 10
  nodes: 8
  cohort_fraction: 1
  over_selection: 1
  quorum: 1
  stall_timeout_ms: 30000
  wait_timeout_ms: 900000
encoding:
  range: 0.1
  weight_cap: 7500
privacy:
  enabled: false
  unit: record
  delta: 1e-05
  adjacency: add_remove
  observer: insider
  placement: agent
  clip_norm: 1
  records: 0
  sampling:
    scheme: poisson
    rate: 0.01
secagg:
  enabled: false
  colluders: 0
  dropout_tolerance: 0
  min_survivors: 1
  ring_bits: 32
evaluation:
  every_rounds: 1
  on_nodes: false
  held_out: 0.1
storage:
  checkpoint_every: 1
  keep_models: 5
transport:
  listen: "tcp://*:7700"
  uploads_in_memory: 2
  slot_rate_min: 131072
  chunk_bytes: 262144
)");
}

// Nodes sign the printed text's hash, and take part only with those who signed the same: what it
// leaves out, a coordinator could tell each of them differently.
TEST(JobPrinterTest, NumbersOfSecureAggregationAreAlwaysPrinted) {
  std::string job(kSmallJob);
  job += "round: {nodes: 9}\nsecagg: {enabled: true}\n";
  const std::string text = ResolvedYaml(*ReadJob(job, "job.yaml").job);

  for (const char* line : {"enabled: true", "colluders: 2", "dropout_tolerance: 0",
                           "min_survivors: 1", "ring_bits: 32"}) {
    EXPECT_THAT(text, testing::HasSubstr(line));
  }
}

TEST(JobPrinterTest, EmbeddingReadsBack) {
  const std::vector<std::string> overrides = {
      "model={input: [4], layers: [embedding: {count: 9, dimension: 2}, flatten, linear: {out: "
      "1}]}"};
  ASSERT_OK_AND_ASSIGN(const JobConfig job, ParseJob(kCsvJob, "job.yaml", overrides));

  ASSERT_OK_AND_ASSIGN(const JobConfig read, ParseJob(ResolvedYaml(job), "resolved"));

  EXPECT_EQ(WithoutLines(read), WithoutLines(job));
}

}  // namespace
}  // namespace skerry
