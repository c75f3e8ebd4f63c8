#include "agent/tokenizer/normalizer.h"

#include <fmt/format.h>

#include "agent/tokenizer/utf8.h"
#include "common/base/status.h"

namespace skerry {

absl::StatusOr<UnicodeRegex> ParsePattern(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(json.Only({"String", "Regex"}));
  const bool is_literal = !json.At("String").is_null();
  if (is_literal == !json.At("Regex").is_null()) return json.Error("expected String or Regex");
  SKERRY_ASSIGN_OR_RETURN(const std::string text, json.At(is_literal ? "String" : "Regex").Text());
  absl::StatusOr<UnicodeRegex> pattern =
      is_literal ? UnicodeRegex::CompileLiteral(text) : UnicodeRegex::Compile(text);
  if (!pattern.ok()) return json.Error(std::string(pattern.status().message()));
  return pattern;
}

absl::StatusOr<Normalizer> Normalizer::Parse(const JsonView& json) {
  Normalizer normalizer;
  if (!json.is_null()) SKERRY_RETURN_IF_ERROR(normalizer.Add(json));
  return normalizer;
}

absl::Status Normalizer::Add(const JsonView& json) {
  SKERRY_ASSIGN_OR_RETURN(const std::string type, json.Type());
  if (type == "Sequence") {
    SKERRY_RETURN_IF_ERROR(json.Only({"type", "normalizers"}));
    SKERRY_ASSIGN_OR_RETURN(const std::vector<JsonView> parts, json.At("normalizers").Elements());
    for (const JsonView& part : parts) SKERRY_RETURN_IF_ERROR(Add(part));
    return absl::OkStatus();
  }
  if (type == "NFC") {
    SKERRY_RETURN_IF_ERROR(json.Only({"type"}));
    steps_.emplace_back(std::in_place_type<Nfc>);
    return absl::OkStatus();
  }
  if (type == "Prepend") {
    SKERRY_RETURN_IF_ERROR(json.Only({"type", "prepend"}));
    SKERRY_ASSIGN_OR_RETURN(std::string text, json.At("prepend").Text());
    steps_.push_back(Prepend{std::move(text)});
    return absl::OkStatus();
  }
  if (type == "Replace") {
    SKERRY_RETURN_IF_ERROR(json.Only({"type", "pattern", "content"}));
    SKERRY_ASSIGN_OR_RETURN(UnicodeRegex pattern, ParsePattern(json.At("pattern")));
    SKERRY_ASSIGN_OR_RETURN(std::string content, json.At("content").Text());
    steps_.push_back(Replace{std::move(pattern), std::move(content)});
    return absl::OkStatus();
  }
  return json.UnknownType(type, "NFC, Prepend, Replace, Sequence");
}

absl::StatusOr<std::string> Normalizer::Apply(std::string_view text) const {
  std::string result(text);
  for (const Step& step : steps_) {
    SKERRY_ASSIGN_OR_RETURN(
        result, std::visit([&](const auto& kind) { return Run(kind, std::move(result)); }, step));
  }
  return result;
}

absl::StatusOr<std::string> Normalizer::Run(const Nfc&, std::string text) {
  return NormalizeNfc(text);
}

absl::StatusOr<std::string> Normalizer::Run(const Prepend& step, std::string text) {
  if (!text.empty()) text.insert(0, step.text);
  return text;
}

absl::StatusOr<std::string> Normalizer::Run(const Replace& step, std::string text) {
  const std::u16string units = Utf16Of(text);
  const std::u16string_view view = units;
  std::vector<std::vector<TextRange>> matches;
  SKERRY_RETURN_IF_ERROR(step.pattern.FindAll(view, {{0, units.size()}}, matches));
  std::string result;
  size_t end = 0;
  for (const TextRange& match : matches.front()) {
    result += Utf8Of(view.substr(end, match.begin - end));
    result += step.content;
    end = match.end;
  }
  return result + Utf8Of(view.substr(end));
}

}  // namespace skerry
