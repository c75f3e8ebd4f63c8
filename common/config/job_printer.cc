#include "common/config/job_printer.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "common/config/config_words.h"

namespace skerry {
namespace {

bool IsPlainCharacter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '_' || c == '-' || c == '/';
}

// Plain where no reader could take it for anything but this text, else in double quotes.
std::string Quoted(const std::string& text) {
  const bool starts_plain = !text.empty() && (text[0] == '/' || (text[0] | 0x20) >= 'a');
  const bool is_word =
      text == "null" || text == "Null" || text == "NULL" || text == "true" || text == "false";
  if (starts_plain && !is_word && std::all_of(text.begin(), text.end(), IsPlainCharacter)) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

// Writes "key: value" lines; Begin and End change the indentation.
class YamlWriter {
 public:
  void Begin(std::string_view key) {
    Line("{}:", key);
    indent_ += 2;
  }
  void End() { indent_ -= 2; }

  // Integers, doubles (shortest form) and words of an enum.
  template <typename T>
  void Value(std::string_view key, const T& value) {
    Line("{}: {}", key, value);
  }
  void Text(std::string_view key, const std::string& text) { Value(key, Quoted(text)); }
  void OptionalText(std::string_view key, const std::optional<std::string>& text) {
    Value(key, text.has_value() ? Quoted(*text) : "null");
  }
  void Item(std::string_view item) { Line("- {}", item); }

  std::string Take() { return std::move(text_); }

 private:
  template <typename... Args>
  void Line(fmt::format_string<Args...> format, Args&&... args) {
    text_.append(indent_, ' ');
    text_ += fmt::format(format, std::forward<Args>(args)...);
    text_ += '\n';
  }

  std::string text_;
  size_t indent_ = 0;
};

std::string Item(const LayerConfig& layer) {
  const std::string_view word = WordFor(layer.kind, kLayerWords);
  switch (layer.kind) {
    case LayerKind::kLinear:
      return fmt::format("{}: {{out: {}, bias: {}}}", word, layer.out, layer.has_bias);
    case LayerKind::kConv2d:
      return fmt::format("{}: {{out: {}, kernel: {}, stride: {}, padding: {}, bias: {}}}", word,
                         layer.out, layer.kernel, layer.stride, layer.padding, layer.has_bias);
    case LayerKind::kMaxPool:
    case LayerKind::kAvgPool:
      return fmt::format("{}: {{kernel: {}, stride: {}, padding: {}}}", word, layer.kernel,
                         layer.stride, layer.padding);
    case LayerKind::kGroupNorm:
      return fmt::format("{}: {{groups: {}, affine: {}}}", word, layer.groups, layer.has_affine);
    case LayerKind::kEmbedding:
      return fmt::format("{}: {{count: {}, dimension: {}}}", word, layer.count, layer.dimension);
    case LayerKind::kDropout:
      return fmt::format("{}: {{rate: {}}}", word, layer.rate);
    case LayerKind::kScattering:
      return fmt::format("{}: {{scales: {}, angles: {}}}", word, layer.scales, layer.angles);
    case LayerKind::kLayerNorm:
    case LayerKind::kRelu:
    case LayerKind::kGelu:
    case LayerKind::kTanh:
    case LayerKind::kFlatten:
      break;
  }
  return std::string(word);
}

void Write(const ModelConfig& model, YamlWriter& out) {
  out.Begin("model");
  if (model.name == ModelName::kLayers) {
    out.Value("input", fmt::format("[{}]", fmt::join(model.input, ", ")));
    out.Begin("layers");
    for (const LayerConfig& layer : model.layers) out.Item(Item(layer));
    out.End();
  } else {
    out.Value("name", WordFor(model.name, kModelWords));
  }
  out.OptionalText("initial", model.initial);
  out.End();
}

void Write(const DataConfig& data, YamlWriter& out) {
  out.Begin("data");
  out.Text("id", data.id);
  out.Value("dataset", WordFor(data.dataset, kDatasetWords));
  out.Text("path", data.path);
  if (data.dataset == DatasetKind::kCsv) out.Text("label", data.label);
  out.OptionalText("test_path", data.test_path);
  out.Value("examples_max", data.examples_max);
  if (HasPixels(data)) {
    out.Begin("normalize");
    out.Value("mean", data.normalization.mean);
    out.Value("std", data.normalization.std);
    out.End();
  }
  const PartitionConfig& partition = data.partition;
  out.Begin("partition");
  out.Value("scheme", WordFor(partition.scheme, kPartitionWords));
  if (partition.scheme == PartitionScheme::kDirichlet) out.Value("alpha", partition.alpha);
  if (partition.scheme == PartitionScheme::kShards) {
    out.Value("per_node", partition.shards_per_node);
  }
  if (partition.scheme == PartitionScheme::kColumn) out.Text("name", partition.column);
  out.End();
  out.End();
}

void Write(const OptimizerConfig& optimizer, YamlWriter& out) {
  out.Begin("optimizer");
  out.Value("name", WordFor(optimizer.name, kOptimizerWords));
  out.Value("learning_rate", optimizer.learning_rate);
  if (optimizer.name == OptimizerName::kSgd) {
    out.Value("momentum", optimizer.momentum);
  } else {
    out.Value("beta1", optimizer.beta1);
    out.Value("beta2", optimizer.beta2);
    out.Value("epsilon", optimizer.epsilon);
  }
  out.Value("weight_decay", optimizer.weight_decay);
  out.End();
}

// `is_gradient_round`: local steps do not apply.
void Write(const TrainingConfig& training, bool is_gradient_round, YamlWriter& out) {
  out.Begin("training");
  if (!is_gradient_round) {
    out.Value("local_epochs", training.local_epochs);
    out.Value("batch_size", training.batch_size);
    Write(training.optimizer, out);
  }
  out.Value("loss", WordFor(training.loss, kLossWords));
  out.End();
}

void Write(const StrategyConfig& strategy, YamlWriter& out) {
  out.Begin("strategy");
  out.Value("name", WordFor(strategy.name, kStrategyWords));
  if (strategy.name == StrategyName::kFedProx) out.Value("mu", strategy.mu);
  out.Value("learning_rate", strategy.learning_rate);
  if (strategy.name == StrategyName::kFedAvgM) out.Value("momentum", strategy.momentum);
  if (IsAdaptive(strategy.name)) {
    out.Value("beta1", strategy.beta1);
    if (strategy.name != StrategyName::kFedAdagrad) out.Value("beta2", strategy.beta2);
    out.Value("tau", strategy.tau);
  }
  out.End();
}

void Write(const RoundConfig& round, YamlWriter& out) {
  out.Begin("round");
  out.Value("count", round.count);
  out.Value("nodes", round.nodes);
  out.Value("cohort_fraction", round.cohort_fraction);
  out.Value("over_selection", round.over_selection);
  out.Value("quorum", round.quorum);
  out.Value("stall_timeout_ms", round.stall_timeout.count());
  out.Value("wait_timeout_ms", round.wait_timeout.count());
  out.End();
}

void Write(const EncodingConfig& encoding, YamlWriter& out) {
  out.Begin("encoding");
  out.Value("range", encoding.range);
  out.Value("weight_cap", encoding.weight_cap);
  out.End();
}

void Write(const PrivacyConfig& privacy, YamlWriter& out) {
  out.Begin("privacy");
  out.Value("enabled", privacy.enabled);
  out.Value("unit", WordFor(privacy.unit, kPrivacyUnitWords));
  if (privacy.epsilon) out.Value("epsilon", *privacy.epsilon);
  if (privacy.noise_multiplier) out.Value("noise_multiplier", *privacy.noise_multiplier);
  out.Value("delta", privacy.delta);
  out.Value("adjacency", WordFor(privacy.adjacency, kAdjacencyWords));
  out.Value("observer", WordFor(privacy.observer, kObserverWords));
  out.Value("placement", WordFor(privacy.placement, kPlacementWords));
  out.Value("clip_norm", privacy.clip_norm);
  if (const auto& clip = privacy.adaptive_clip) {
    out.Begin("adaptive_clip");
    out.Value("target_quantile", clip->target_quantile);
    out.Value("learning_rate", clip->learning_rate);
    out.Value("initial", clip->initial);
    if (clip->bit_noise) out.Value("bit_noise", *clip->bit_noise);
    out.End();
  }
  out.Value("records", privacy.records);
  out.Begin("sampling");
  out.Value("scheme", WordFor(privacy.sampling.scheme, kSamplingWords));
  out.Value("rate", privacy.sampling.rate);
  out.End();
  out.End();
}

void Write(const SecAggConfig& secagg, YamlWriter& out) {
  out.Begin("secagg");
  out.Value("enabled", secagg.enabled);
  out.Value("colluders", secagg.colluders);
  out.Value("dropout_tolerance", secagg.dropout_tolerance);
  out.Value("min_survivors", secagg.min_survivors);
  out.Value("ring_bits", secagg.ring_bits);
  out.End();
}

void Write(const EvaluationConfig& evaluation, YamlWriter& out) {
  out.Begin("evaluation");
  out.Value("every_rounds", evaluation.every_rounds);
  out.Value("on_nodes", evaluation.on_nodes);
  out.Value("held_out", evaluation.held_out);
  out.End();
}

void Write(const StorageConfig& storage, YamlWriter& out) {
  out.Begin("storage");
  out.Value("checkpoint_every", storage.checkpoint_every);
  out.Value("keep_models", storage.keep_models);
  out.End();
}

void Write(const TransportConfig& transport, YamlWriter& out) {
  out.Begin("transport");
  out.Text("listen", transport.listen);
  out.Value("uploads_in_memory", transport.uploads_in_memory);
  out.Value("slot_rate_min", transport.slot_rate_min);
  out.Value("chunk_bytes", transport.chunk_bytes);
  out.End();
}

}  // namespace

std::string ResolvedYaml(const JobConfig& job) {
  YamlWriter out;
  out.Value("version", job.version);
  out.Value("seed", job.seed);
  if (job.is_rehearsal) out.Value("rehearsal", true);
  Write(job.model, out);
  Write(job.data, out);
  Write(job.training, IsGradientRound(job.privacy), out);
  Write(job.strategy, out);
  Write(job.round, out);
  Write(job.encoding, out);
  Write(job.privacy, out);
  Write(job.secagg, out);
  Write(job.evaluation, out);
  Write(job.storage, out);
  Write(job.transport, out);
  return out.Take();
}

}  // namespace skerry
