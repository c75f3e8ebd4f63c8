#include "common/config/job_loader.h"

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/config/address.h"
#include "common/config/config_words.h"
#include "common/config/data_section.h"
#include "common/config/job_rules.h"
#include "common/config/model_section.h"
#include "common/config/secagg_rules.h"
#include "common/config/yaml_document.h"
#include "common/config/yaml_reader.h"

namespace skerry {
namespace {

constexpr int64_t kNodesMax = 100'000;
constexpr int64_t kRoundsMax = 1'000'000;
constexpr int64_t kStallMsMax = 24 * 3'600'000;     // a day
constexpr int64_t kWaitMsMax = 7 * 24 * 3'600'000;  // a week
constexpr int64_t kChunkBytesMin = 4096;
constexpr int64_t kChunkBytesMax = 4 << 20;  // protocol::kRawFrameBytesMax
constexpr Range<double> kRateRange{.min = 0, .max = 1, .excludes_min = true};
constexpr Range<double> kStepRange{.min = 0, .max = 1000, .excludes_min = true};
constexpr Range<double> kDecayRange{.min = 0, .max = 1, .excludes_max = true};
constexpr Range<double> kOpenRange{.min = 0, .max = 1, .excludes_min = true, .excludes_max = true};

OptimizerConfig ReadOptimizer(SectionReader section) {
  OptimizerConfig optimizer;
  optimizer.name = section.Word("name", optimizer.name, kOptimizerWords);
  const bool is_sgd = optimizer.name == OptimizerName::kSgd;
  if (!is_sgd) optimizer.learning_rate = 0.001;
  section.OnlyIf(is_sgd, "optimizer sgd", {"momentum"});
  section.OnlyIf(!is_sgd, "optimizers adam and adamw", {"beta1", "beta2", "epsilon"});
  optimizer.learning_rate = section.Number("learning_rate", optimizer.learning_rate, kStepRange);
  optimizer.momentum = section.Number("momentum", optimizer.momentum, kDecayRange);
  optimizer.beta1 = section.Number("beta1", optimizer.beta1, kDecayRange);
  optimizer.beta2 = section.Number("beta2", optimizer.beta2, kDecayRange);
  optimizer.epsilon = section.Number("epsilon", optimizer.epsilon, kRateRange);
  optimizer.weight_decay = section.Number("weight_decay", optimizer.weight_decay, {0, 1});
  section.Finish();
  return optimizer;
}

TrainingConfig ReadTraining(SectionReader section, const PrivacyConfig& privacy) {
  TrainingConfig training;
  // A round is one step over all nodes then: privacy.sampling and strategy say what these do
  // otherwise.
  section.OnlyIf(!IsGradientRound(privacy),
                 "jobs whose rounds are not single optimiser steps "
                 "(privacy.placement distributed with unit record)",
                 {"local_epochs", "batch_size", "optimizer"});
  training.local_epochs = section.Integer("local_epochs", training.local_epochs, {0, 1000});
  training.batch_size = section.Integer("batch_size", training.batch_size, {1, 65'536});
  training.optimizer = ReadOptimizer(section.Section("optimizer"));
  training.loss = section.Word("loss", training.loss, kLossWords);
  section.Finish();
  return training;
}

StrategyConfig ReadStrategy(SectionReader section) {
  StrategyConfig strategy;
  strategy.name = section.Word("name", strategy.name, kStrategyWords);
  const bool is_adaptive = IsAdaptive(strategy.name);
  if (is_adaptive) strategy.learning_rate = 0.01;
  section.OnlyIf(strategy.name == StrategyName::kFedProx, "strategy fedprox", {"mu"});
  section.OnlyIf(strategy.name == StrategyName::kFedAvgM, "strategy fedavgm", {"momentum"});
  section.OnlyIf(is_adaptive, "strategies fedadam, fedyogi and fedadagrad", {"beta1", "tau"});
  section.OnlyIf(is_adaptive && strategy.name != StrategyName::kFedAdagrad,
                 "strategies fedadam and fedyogi", {"beta2"});
  strategy.learning_rate = section.Number("learning_rate", strategy.learning_rate, kStepRange);
  strategy.mu = section.Number("mu", strategy.mu, {0, 1000});
  strategy.momentum = section.Number("momentum", strategy.momentum, kDecayRange);
  strategy.beta1 = section.Number("beta1", strategy.beta1, kDecayRange);
  strategy.beta2 = section.Number("beta2", strategy.beta2, kDecayRange);
  strategy.tau = section.Number("tau", strategy.tau, kRateRange);
  section.Finish();
  return strategy;
}

RoundConfig ReadRound(SectionReader section) {
  RoundConfig round;
  round.count = section.Integer("count", round.count, {1, kRoundsMax});
  round.nodes = section.Integer("nodes", round.nodes, {1, kNodesMax});
  round.cohort_fraction = section.Number("cohort_fraction", round.cohort_fraction, kRateRange);
  round.over_selection = section.Number("over_selection", round.over_selection, {1, 4});
  round.quorum = section.Integer("quorum", round.quorum, {1, kNodesMax});
  round.stall_timeout = Milliseconds(
      section.Integer("stall_timeout_ms", round.stall_timeout.count(), {100, kStallMsMax}));
  round.wait_timeout = Milliseconds(
      section.Integer("wait_timeout_ms", round.wait_timeout.count(), {100, kWaitMsMax}));
  section.Finish();
  return round;
}

EncodingConfig ReadEncoding(SectionReader section) {
  EncodingConfig encoding;
  encoding.range = section.Number("range", encoding.range, {1e-3, 1024});
  encoding.weight_cap = section.Integer("weight_cap", encoding.weight_cap, {1, 1'000'000'000});
  section.Finish();
  return encoding;
}

AdaptiveClipConfig ReadAdaptiveClip(SectionReader section) {
  AdaptiveClipConfig clip;
  clip.target_quantile = section.Number("target_quantile", clip.target_quantile, kOpenRange);
  clip.learning_rate = section.Number("learning_rate", clip.learning_rate, kRateRange);
  clip.initial =
      section.Number("initial", clip.initial, {.min = 0, .max = 1e6, .excludes_min = true});
  clip.bit_noise =
      section.OptionalNumber("bit_noise", {.min = 0, .max = 1e6, .excludes_min = true});
  section.Finish();
  return clip;
}

PrivacyConfig ReadPrivacy(SectionReader section) {
  PrivacyConfig privacy;
  privacy.enabled = section.Flag("enabled", privacy.enabled);
  privacy.unit = section.Word("unit", privacy.unit, kPrivacyUnitWords);
  privacy.epsilon = section.OptionalNumber("epsilon", {.min = 0, .max = 100, .excludes_min = true});
  privacy.noise_multiplier = section.OptionalNumber("noise_multiplier", {0.01, 1e6});
  privacy.delta = section.Number("delta", privacy.delta, kOpenRange);
  privacy.adjacency = section.Word("adjacency", privacy.adjacency, kAdjacencyWords);
  privacy.placement = section.Word("placement", privacy.placement, kPlacementWords);
  privacy.clip_norm =
      section.Number("clip_norm", privacy.clip_norm, {.min = 0, .max = 1e6, .excludes_min = true});
  if (section.HasValue("adaptive_clip")) {
    privacy.adaptive_clip = ReadAdaptiveClip(section.Section("adaptive_clip"));
  } else {
    section.OptionalText("adaptive_clip");  // null
  }
  privacy.observer = section.Word("observer", privacy.observer, kObserverWords);
  privacy.records = section.Integer("records", privacy.records, {0, 1'000'000'000'000});
  SectionReader sampling = section.Section("sampling");
  privacy.sampling.scheme = sampling.Word("scheme", privacy.sampling.scheme, kSamplingWords);
  privacy.sampling.rate = sampling.Number("rate", privacy.sampling.rate, kRateRange);
  sampling.Finish();
  section.Finish();
  return privacy;
}

SecAggConfig ReadSecAgg(SectionReader section, const RoundConfig& round) {
  SecAggConfig secagg;
  secagg.enabled = section.Flag("enabled", secagg.enabled);
  if (secagg.enabled) secagg.colluders = DefaultColluders(round.nodes);
  secagg.colluders = section.Integer("colluders", secagg.colluders, {0, kNodesMax});
  secagg.dropout_tolerance =
      section.Integer("dropout_tolerance", secagg.dropout_tolerance, {0, kNodesMax});
  secagg.min_survivors = section.Integer("min_survivors", secagg.min_survivors, {1, kNodesMax});
  secagg.ring_bits = section.Integer("ring_bits", secagg.ring_bits, {16, 64});
  section.Finish();
  return secagg;
}

EvaluationConfig ReadEvaluation(SectionReader section) {
  EvaluationConfig evaluation;
  evaluation.every_rounds =
      section.Integer("every_rounds", evaluation.every_rounds, {0, kRoundsMax});
  evaluation.on_nodes = section.Flag("on_nodes", evaluation.on_nodes);
  evaluation.held_out = section.Number("held_out", evaluation.held_out, kOpenRange);
  section.Finish();
  return evaluation;
}

StorageConfig ReadStorage(SectionReader section) {
  StorageConfig storage;
  storage.checkpoint_every =
      section.Integer("checkpoint_every", storage.checkpoint_every, {1, kRoundsMax});
  storage.keep_models = section.Integer("keep_models", storage.keep_models, {1, kRoundsMax});
  section.Finish();
  return storage;
}

TransportConfig ReadTransport(SectionReader section) {
  TransportConfig transport;
  const std::string listen = section.Text("listen", transport.listen);
  if (const absl::Status address = CheckAddress(listen, AddressUse::kListen); !address.ok()) {
    section.Refuse("listen", std::string(address.message()));
  } else {
    transport.listen = listen;
  }
  transport.uploads_in_memory =
      section.Integer("uploads_in_memory", transport.uploads_in_memory, {1, 1024});
  transport.slot_rate_min =
      section.Integer("slot_rate_min", transport.slot_rate_min, {1, 1'000'000'000});
  transport.chunk_bytes =
      section.Integer("chunk_bytes", transport.chunk_bytes, {kChunkBytesMin, kChunkBytesMax});
  section.Finish();
  return transport;
}

JobConfig ReadSections(const YamlNode& root, ConfigDiagnostics& diagnostics) {
  SectionReader top(root, "", diagnostics);
  JobConfig job;
  top.Require({"version", "model", "data"});
  job.version = top.Integer("version", job.version, {1, 1});
  job.seed = top.Unsigned("seed", job.seed);
  job.is_rehearsal = top.Flag("rehearsal", job.is_rehearsal);
  if (top.Has("model")) job.model = ReadModel(top.Section("model"), diagnostics);
  if (top.Has("data")) job.data = ReadJobData(top.Section("data"));
  job.privacy = ReadPrivacy(top.Section("privacy"));
  job.training = ReadTraining(top.Section("training"), job.privacy);
  job.strategy = ReadStrategy(top.Section("strategy"));
  job.round = ReadRound(top.Section("round"));
  job.encoding = ReadEncoding(top.Section("encoding"));
  job.secagg = ReadSecAgg(top.Section("secagg"), job.round);
  job.evaluation = ReadEvaluation(top.Section("evaluation"));
  job.storage = ReadStorage(top.Section("storage"));
  job.transport = ReadTransport(top.Section("transport"));
  top.Finish();
  return job;
}

}  // namespace

JobReading ReadJob(std::string_view text, const std::string& source,
                   const std::vector<std::string>& overrides) {
  ConfigDiagnostics diagnostics(source);
  std::optional<YamlNode> root = ParseYaml(text, {source, 1}, diagnostics);
  if (!root.has_value()) return {std::nullopt, diagnostics.errors()};
  for (const std::string& override_text : overrides) {
    ApplyOverride(override_text, *root, diagnostics);
  }
  JobConfig job = ReadSections(*root, diagnostics);
  CheckJobRules(job, diagnostics);
  std::vector<ConfigError> errors = diagnostics.errors();
  if (!errors.empty()) return {std::nullopt, std::move(errors)};
  return {std::move(job), {}};
}

absl::StatusOr<JobConfig> ParseJob(std::string_view text, const std::string& source,
                                   const std::vector<std::string>& overrides) {
  JobReading reading = ReadJob(text, source, overrides);
  SKERRY_RETURN_IF_ERROR(StatusFromErrors(reading.errors));
  return *std::move(reading.job);
}

absl::StatusOr<JobConfig> LoadJob(const std::string& path,
                                  const std::vector<std::string>& overrides) {
  SKERRY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kYamlBytesMax));
  return ParseJob(text, path, overrides);
}

std::vector<ConfigError> ValidateJob(const JobConfig& job, const std::string& source) {
  ConfigDiagnostics diagnostics(source);
  CheckJobRules(job, diagnostics);
  return diagnostics.errors();
}

}  // namespace skerry
