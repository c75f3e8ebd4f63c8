#include "common/config/job_loader.h"

#include <fstream>

#include "tests/common/config/job_text.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(JobLoaderTest, SmallestJobTakesEveryDefault) {
  ASSERT_OK_AND_ASSIGN(const JobConfig job, ParseJob(kSmallJob, "job.yaml"));

  EXPECT_EQ(job.model.name, ModelName::kMlp);
  EXPECT_EQ(job.data.path, "/usr/share/datasets/fashion-mnist");
  EXPECT_EQ(job.training, TrainingConfig());
  EXPECT_EQ(job.strategy, StrategyConfig());
  EXPECT_EQ(job.round, RoundConfig());
  EXPECT_EQ(job.transport, TransportConfig());
}

TEST(JobLoaderTest, EveryKeyReachesItsField) {
  ASSERT_OK_AND_ASSIGN(const JobConfig job, ParseJob(R"(
version: 1
seed: 42
model:
  input: [1, 28, 28]
  layers:
    - conv2d: {out: 16, kernel: 8, stride: 2, padding: 3, bias: false}
    - group_norm: {groups: 4}
    - max_pool: {kernel: 2}
    - avg_pool: {kernel: 2, stride: 1, padding: 1}
    - flatten
    - layer_norm
    - dropout: {rate: 0.2}
    - linear: {out: 10}
  initial: first.safetensors
data: {id: d, dataset: mnist, path: /data, test_path: /test, examples_max: 100,
       partition: {scheme: dirichlet, alpha: 0.3}}
training: {local_epochs: 3, batch_size: 64, loss: cross_entropy,
           optimizer: {name: adamw, learning_rate: 0.01, beta1: 0.8, beta2: 0.9, epsilon: 1e-6,
                       weight_decay: 0.1}}
strategy: {name: fedadam, learning_rate: 0.02, beta1: 0.7, beta2: 0.95, tau: 0.01}
round: {count: 3, nodes: 20, cohort_fraction: 0.5, over_selection: 1.5, quorum: 7,
        stall_timeout_ms: 1000, wait_timeout_ms: 2000}
encoding: {range: 4.0, weight_cap: 100}
privacy: {enabled: false, unit: client, epsilon: 3.0, delta: 1.0e-6, adjacency: replace_one,
          placement: distributed, clip_norm: 0.5, sampling: {scheme: fixed, rate: 0.5}}
secagg: {enabled: false, colluders: 2, dropout_tolerance: 3, min_survivors: 6, ring_bits: 40}
evaluation: {every_rounds: 2, on_nodes: true, held_out: 0.25}
storage: {checkpoint_every: 3, keep_models: 4}
transport: {listen: "ipc:///tmp/s", uploads_in_memory: 3, slot_rate_min: 1000, chunk_bytes: 8192}
)",
                                                     "job.yaml"));

  EXPECT_EQ(job.seed, 42u);
  ASSERT_EQ(job.model.layers.size(), 8u);
  EXPECT_EQ(job.model.name, ModelName::kLayers);
  const LayerConfig convolution = {.kind = LayerKind::kConv2d,
                                   .out = 16,
                                   .kernel = 8,
                                   .stride = 2,
                                   .padding = 3,
                                   .has_bias = false,
                                   .line = 7};
  EXPECT_EQ(job.model.layers[0], convolution);
  EXPECT_EQ(job.model.layers[1].groups, 4);
  EXPECT_EQ(job.model.layers[2].stride, 2);  // the kernel
  EXPECT_EQ(job.model.layers[3].stride, 1);
  EXPECT_EQ(job.model.layers[3].padding, 1);
  EXPECT_EQ(job.model.layers[6].rate, 0.2);
  EXPECT_EQ(job.model.layers[7].line, 14);
  EXPECT_EQ(job.model.initial, "first.safetensors");
  EXPECT_EQ(job.data.test_path, "/test");
  EXPECT_EQ(job.data.examples_max, 100);
  EXPECT_EQ(job.data.partition,
            (PartitionConfig{.scheme = PartitionScheme::kDirichlet, .alpha = 0.3}));
  EXPECT_EQ(job.training.optimizer, (OptimizerConfig{.name = OptimizerName::kAdamW,
                                                     .learning_rate = 0.01,
                                                     .beta1 = 0.8,
                                                     .beta2 = 0.9,
                                                     .epsilon = 1e-6,
                                                     .weight_decay = 0.1}));
  EXPECT_EQ(job.strategy, (StrategyConfig{.name = StrategyName::kFedAdam,
                                          .learning_rate = 0.02,
                                          .beta1 = 0.7,
                                          .beta2 = 0.95,
                                          .tau = 0.01}));
  EXPECT_EQ(job.round, (RoundConfig{.count = 3,
                                    .nodes = 20,
                                    .cohort_fraction = 0.5,
                                    .over_selection = 1.5,
                                    .quorum = 7,
                                    .stall_timeout = Milliseconds(1000),
                                    .wait_timeout = Milliseconds(2000)}));
  EXPECT_EQ(job.encoding, (EncodingConfig{.range = 4, .weight_cap = 100}));
  EXPECT_EQ(job.privacy.unit, PrivacyUnit::kClient);
  EXPECT_EQ(job.privacy.sampling, (SamplingConfig{SamplingScheme::kFixed, 0.5}));
  EXPECT_EQ(job.secagg.ring_bits, 40);
  EXPECT_EQ(job.evaluation, (EvaluationConfig{2, true, 0.25}));
  EXPECT_EQ(job.storage, (StorageConfig{3, 4}));
  EXPECT_EQ(job.transport, (TransportConfig{"ipc:///tmp/s", 3, 1000, 8192}));
}

TEST(JobLoaderTest, DefaultsFollowTheStrategyAndTheOptimizer) {
  ASSERT_OK_AND_ASSIGN(
      const JobConfig job,
      ParseJob(kSmallJob, "job.yaml", {"strategy.name=fedyogi", "training.optimizer.name=adam"}));

  EXPECT_EQ(job.strategy.learning_rate, 0.01);
  EXPECT_EQ(job.training.optimizer.learning_rate, 0.001);
}

TEST(JobLoaderTest, AllErrorsAreReportedAtOnceInTheOrderOfTheFile) {
  const std::vector<std::string> errors = ErrorsWith(
      "seed: -1\n"
      "training:\n"
      "  batchsize: 3\n"
      "  local_epochs: many\n"
      "  local_epochs: 2\n"
      "strategy: {name: fedavg, mu: 0.1}\n"
      "round: {quorum: 9}\n"
      "transport: {listen: here}\n",
      {"evaluation.on_nodes=perhaps"});

  EXPECT_THAT(
      errors,
      ElementsAre(
          "job.yaml:6: seed must be an integer 0..18446744073709551615, got -1",
          "job.yaml:8: training.batchsize is not a known key, did you mean batch_size?",
          "job.yaml:9: training.local_epochs must be an integer 0..1000, got many",
          "job.yaml:10: training.local_epochs is given twice, first on line 9",
          "job.yaml:11: strategy.mu only applies to strategy fedprox",
          "job.yaml:12: round.quorum must be at most 8, the cohort (cohort_fraction 1 of 8 nodes), "
          "got 9",
          HasSubstr("job.yaml:13: transport.listen must be tcp://host:port"),
          "--set evaluation.on_nodes: evaluation.on_nodes must be true or false, got perhaps"));
}

TEST(JobLoaderTest, StatusHoldsOneErrorALine) {
  EXPECT_THAT(ParseJob("version: 2\n", "job.yaml"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "job.yaml: model is missing\n"
                       "job.yaml: data is missing\n"
                       "job.yaml:1: version must be 1, got 2"));
}

TEST(JobLoaderTest, EmptyTextMissesTheRequiredSections) {
  EXPECT_THAT(Lines(ReadJob("", "job.yaml").errors),
              ElementsAre("job.yaml: version is missing", "job.yaml: model is missing",
                          "job.yaml: data is missing"));
  EXPECT_THAT(Lines(ReadJob("- a\n", "job.yaml").errors),
              testing::Contains(HasSubstr("must be a section of keys, got a list")));
}

TEST(JobLoaderTest, KeysThatDoNotApplyAreNamedWithWhatTheyApplyTo) {
  EXPECT_THAT(ErrorsWith("training: {optimizer: {name: adam, momentum: 0.9}}\n"),
              ElementsAre("job.yaml:6: training.optimizer.momentum only applies to optimizer sgd"));
  EXPECT_THAT(ErrorsWith("training: {optimizer: {beta1: 0.9}}\n"),
              ElementsAre(HasSubstr("beta1 only applies to optimizers adam and adamw")));
  EXPECT_THAT(ErrorsWith("strategy: {name: fedadagrad, beta1: 0.5, beta2: 0.9}\n"),
              ElementsAre(HasSubstr("beta2 only applies to strategies fedadam and fedyogi")));
  EXPECT_THAT(ErrorsWith("strategy: {name: fedprox, momentum: 0.5}\n"),
              ElementsAre(HasSubstr("momentum only applies to strategy fedavgm")));
  EXPECT_THAT(ErrorsWith("", {"data.partition={scheme: iid, alpha: 1}"}),
              ElementsAre(HasSubstr("data.partition.alpha only applies to scheme dirichlet")));
  EXPECT_THAT(ErrorsWith("", {"data={id: x, dataset: npy, path: /x, normalize: {mean: 1}}"}),
              ElementsAre(HasSubstr("data.normalize only applies to datasets of images")));
}

TEST(JobLoaderTest, TheObserverIsAnInsiderUnlessTheJobSaysPublic) {
  EXPECT_THAT(ErrorsWith("privacy: {observer: insider}\n"), testing::IsEmpty());
  EXPECT_THAT(ErrorsWith("privacy: {observer: nobody}\n"),
              ElementsAre(HasSubstr("must be one of insider, public, got nobody")));
}

TEST(JobLoaderTest, EveryRangeIsCheckedAtItsEdge) {
  struct Case {
    std::string key, last_good, first_bad;
  };
  const std::vector<Case> cases = {
      {"training.local_epochs", "0", "-1"},
      {"training.local_epochs", "1000", "1001"},
      {"training.batch_size", "1", "0"},
      {"training.batch_size", "65536", "65537"},
      {"training.optimizer.learning_rate", "1e-300", "0"},
      {"training.optimizer.learning_rate", "1000", "1000.1"},
      {"training.optimizer.momentum", "0.999999", "1"},
      {"training.optimizer.weight_decay", "1", "1.1"},
      {"strategy.learning_rate", "1e-9", "0"},
      {"round.count", "1", "0"},
      {"round.nodes", "100000", "100001"},
      {"round.cohort_fraction", "0.0001", "0"},
      {"round.cohort_fraction", "1", "1.0001"},
      {"round.over_selection", "1", "0.99"},
      {"round.quorum", "8", "9"},
      {"round.quorum", "1", "0"},
      {"round.stall_timeout_ms", "100", "99"},
      {"round.wait_timeout_ms", "604800000", "604800001"},
      {"encoding.range", "0.001", "0.0009"},
      {"encoding.range", "1024", "1025"},
      {"encoding.weight_cap", "1", "0"},
      {"privacy.delta", "0.99", "1"},
      {"privacy.sampling.rate", "1", "1.5"},
      {"secagg.ring_bits", "16", "15"},
      {"secagg.min_survivors", "1", "0"},
      {"evaluation.every_rounds", "0", "-1"},
      {"evaluation.held_out", "0.5", "0"},
      {"storage.checkpoint_every", "1", "0"},
      {"storage.keep_models", "1", "0"},
      {"transport.uploads_in_memory", "1", "0"},
      {"transport.chunk_bytes", "4096", "4095"},
      {"transport.chunk_bytes", "4194304", "4194305"},
      {"data.examples_max", "0", "-1"},
  };
  for (const Case& test : cases) {
    EXPECT_THAT(ErrorsWith("", {test.key + "=" + test.last_good}), IsEmpty());
    EXPECT_THAT(ErrorsWith("", {test.key + "=" + test.first_bad}),
                ElementsAre(HasSubstr("--set " + test.key + ": " + test.key + " must be ")));
  }
}

TEST(JobLoaderTest, LaterOverrideWins) {
  ASSERT_OK_AND_ASSIGN(const JobConfig job,
                       ParseJob(kSmallJob, "job.yaml", {"round.count=2", "round.count=5"}));

  EXPECT_EQ(job.round.count, 5);
}

TEST(JobLoaderTest, LocalStepsDoNotApplyToRoundsThatAreSingleSteps) {
  EXPECT_THAT(ErrorsWith("privacy: {enabled: true, epsilon: 2, records: 60000, placement: "
                         "distributed}\nsecagg: {enabled: true, colluders: 1, min_survivors: 5}\n"
                         "training: {local_epochs: 3, batch_size: 32}\n"),
              ElementsAre(HasSubstr("training.local_epochs only applies to jobs whose rounds are "
                                    "not single optimiser steps"),
                          HasSubstr("training.batch_size only applies")));
}

TEST(JobLoaderTest, CarefulJobBearsAThirdOfItsNodesConspiring) {
  const auto colluders = [](const std::vector<std::string>& overrides) -> int64_t {
    const auto job = ParseJob(kSmallJob, "job.yaml", overrides);
    EXPECT_OK(job);
    return job.ok() ? job->secagg.colluders : -1;
  };

  EXPECT_EQ(colluders({"secagg.enabled=true"}), 2);
  EXPECT_EQ(colluders({"secagg.enabled=true", "round.nodes=64"}), 21);
  EXPECT_EQ(colluders({"secagg={enabled: true, colluders: 1}"}), 1);
  EXPECT_EQ(colluders({"secagg={enabled: true, colluders: 0}"}), 0);
  EXPECT_EQ(colluders({"secagg.enabled=false"}), 0);
}

TEST(JobLoaderTest, LayersAreCheckedOneByOne) {
  const JobReading reading = ReadJob(
      "version: 1\n"
      "data: {id: a}\n"
      "model:\n"
      "  input: [1, 28, 28]\n"
      "  layers:\n"
      "    - conv2d: {out: 0, kernel: 4, strid: 2}\n"
      "    - linear\n"
      "    - reul\n"
      "    - {relu: {}, tanh: {}}\n"
      "    - relu: {slope: 1}\n"
      "    - dropout: {rate: 1}\n"
      "    - linear: 3\n",
      "job.yaml");

  EXPECT_THAT(
      Lines(reading.errors),
      ElementsAre("job.yaml:6: model.layers[0].conv2d.out must be 1..10000000, got 0",
                  "job.yaml:6: model.layers[0].conv2d.strid is not a known key, did you mean "
                  "stride?",
                  "job.yaml:7: model.layers[1].linear.out is missing",
                  HasSubstr("job.yaml:8: model.layers[2] must be one of linear, conv2d"),
                  "job.yaml:9: model.layers[3] must name one layer, as in linear: {out: 64}, got 2",
                  HasSubstr("job.yaml:10: model.layers[4].relu.slope is not a known key"),
                  "job.yaml:11: model.layers[5].dropout.rate must be at least 0 and below 1, got 1",
                  HasSubstr("job.yaml:12: model.layers[6].linear must be a section of keys, got 3"),
                  "job.yaml:12: model.layers[6].linear.out is missing"));
}

TEST(JobLoaderTest, ModelIsEitherNamedOrListed) {
  const auto errors = [](const std::string& model) {
    return Lines(ReadJob("version: 1\ndata: {id: a}\nmodel: " + model + "\n", "job.yaml").errors);
  };

  EXPECT_THAT(errors("{}"), ElementsAre(HasSubstr("job.yaml:3: model.layers is missing: name a")));
  EXPECT_THAT(errors("{name: mlp, layers: [relu], input: [784]}"),
              ElementsAre(HasSubstr("model.name and layers exclude each other")));
  EXPECT_THAT(errors("{name: mlp, input: [784]}"),
              ElementsAre(HasSubstr("model.input only applies to model.layers")));
  EXPECT_THAT(errors("{layers: [flatten, linear: {out: 10}]}"),
              ElementsAre("job.yaml:3: model.input is missing"));
  EXPECT_THAT(errors("{layers: [], input: [784]}"),
              ElementsAre("job.yaml:3: model.layers must be 1..256 layers, got 0"));
}

TEST(JobLoaderTest, FileIsReadAndAMissingOneIsNamed) {
  TemporaryDirectory folder;
  std::ofstream(folder / "job.yaml") << kSmallJob << "seed: x\n";

  EXPECT_THAT(LoadJob(folder / "job.yaml"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(folder / "job.yaml" + std::string(":6: seed must be"))));
  EXPECT_OK(LoadJob(folder / "job.yaml", {"seed=3"}));
  EXPECT_THAT(LoadJob(folder / "none.yaml"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.yaml")));
}

}  // namespace
}  // namespace skerry
