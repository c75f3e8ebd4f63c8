#include "common/config/model_section.h"

#include <optional>

#include <fmt/format.h>

#include "common/config/config_words.h"

namespace skerry {
namespace {

constexpr Range<int64_t> kSizeRange{1, 10'000'000};
constexpr Range<int64_t> kWindowRange{1, 1024};
constexpr Range<int64_t> kPaddingRange{0, 1024};
constexpr Range<int64_t> kScalesRange{1, 5};
constexpr Range<int64_t> kAnglesRange{1, 16};
constexpr size_t kLayersMax = 256;
constexpr size_t kDimensionsMax = 3;

int64_t RequiredInteger(SectionReader& section, std::string_view key, Range<int64_t> range) {
  section.Require({key});
  return section.Integer(key, range.min, range);
}

void ReadSettings(SectionReader settings, LayerConfig& layer) {
  switch (layer.kind) {
    case LayerKind::kConv2d:
      layer.kernel = RequiredInteger(settings, "kernel", kWindowRange);
      layer.stride = settings.Integer("stride", layer.stride, kWindowRange);
      layer.padding = settings.Integer("padding", layer.padding, kPaddingRange);
      [[fallthrough]];
    case LayerKind::kLinear:
      layer.out = RequiredInteger(settings, "out", kSizeRange);
      layer.has_bias = settings.Flag("bias", layer.has_bias);
      break;
    case LayerKind::kMaxPool:
    case LayerKind::kAvgPool:
      layer.kernel = RequiredInteger(settings, "kernel", kWindowRange);
      layer.stride = settings.Integer("stride", layer.kernel, kWindowRange);
      layer.padding = settings.Integer("padding", layer.padding, kPaddingRange);
      break;
    case LayerKind::kGroupNorm:
      layer.groups = RequiredInteger(settings, "groups", kSizeRange);
      layer.has_affine = settings.Flag("affine", layer.has_affine);
      break;
    case LayerKind::kEmbedding:
      layer.count = RequiredInteger(settings, "count", kSizeRange);
      layer.dimension = RequiredInteger(settings, "dimension", kSizeRange);
      break;
    case LayerKind::kDropout:
      settings.Require({"rate"});
      layer.rate = settings.Number("rate", layer.rate, {.min = 0, .max = 1, .excludes_max = true});
      break;
    case LayerKind::kScattering:
      layer.scales = settings.Integer("scales", layer.scales, kScalesRange);
      layer.angles = settings.Integer("angles", layer.angles, kAnglesRange);
      break;
    case LayerKind::kLayerNorm:
    case LayerKind::kRelu:
    case LayerKind::kGelu:
    case LayerKind::kTanh:
    case LayerKind::kFlatten:
      break;
  }
  settings.Finish();
}

// `- relu` or `- linear: {out: 64}`
std::optional<LayerConfig> ReadLayer(const YamlNode& item, const std::string& path,
                                     ConfigDiagnostics& diagnostics) {
  YamlNode word = item;
  YamlNode settings{.kind = YamlNode::Kind::kSection, .place = item.place};
  if (item.kind == YamlNode::Kind::kSection) {
    if (item.children.size() != 1) {
      diagnostics.Add(path, fmt::format("must name one layer, as in linear: {{out: 64}}, got {}",
                                        item.children.size()));
      return std::nullopt;
    }
    settings = item.children[0];
    word = {.kind = YamlNode::Kind::kScalar, .text = settings.key, .place = settings.place};
  }
  const auto kind = SectionReader::WordOf(word, path, kLayerWords, diagnostics);
  if (!kind.has_value()) return std::nullopt;
  LayerConfig layer{.kind = *kind, .line = item.place.line};
  ReadSettings(SectionReader(settings, fmt::format("{}.{}", path, word.text), diagnostics), layer);
  return layer;
}

}  // namespace

ModelConfig ReadModel(SectionReader section, ConfigDiagnostics& diagnostics) {
  ModelConfig model;
  model.line = section.line();
  const bool has_layers = section.Has("layers");
  if (has_layers == section.Has("name")) {
    section.Refuse(has_layers ? "name" : "layers",
                   has_layers
                       ? "and layers exclude each other: name a built-in model or list layers"
                       : "is missing: name a built-in model or list layers");
  }
  model.name = section.Word("name", model.name, kModelWords);
  if (has_layers) {
    model.name = ModelName::kLayers;
    section.Require({"input"});
  }
  section.OnlyIf(has_layers, "model.layers: a built-in model takes images of 1 x 28 x 28",
                 {"input"});
  model.input = section.Integers("input", kSizeRange, kDimensionsMax);

  const std::vector<const YamlNode*> items = section.List("layers");
  if (items.size() > kLayersMax || (has_layers && items.empty())) {
    section.Refuse("layers", fmt::format("must be 1..{} layers, got {}", kLayersMax, items.size()));
  } else {
    for (size_t i = 0; i < items.size(); ++i) {
      auto layer = ReadLayer(*items[i], section.ItemPath("layers", i), diagnostics);
      if (layer.has_value()) model.layers.push_back(*layer);
    }
  }
  model.initial = section.OptionalText("initial");
  section.Finish();
  return model;
}

}  // namespace skerry
