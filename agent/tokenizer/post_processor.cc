#include "agent/tokenizer/post_processor.h"

#include <limits>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

// The ids of the special token `name` in the template's own table.
absl::Status AppendIds(const JsonView& table, const std::string& name, std::vector<int32_t>& ids) {
  if (!table.json().is_object()) return table.Error("expected an object");
  const JsonView entry = table.At(name);
  SKERRY_RETURN_IF_ERROR(entry.Only({"id", "ids", "tokens"}));
  SKERRY_ASSIGN_OR_RETURN(const std::vector<JsonView> elements, entry.At("ids").Elements());
  for (const JsonView& element : elements) {
    SKERRY_ASSIGN_OR_RETURN(const int64_t id, element.Count(std::numeric_limits<int32_t>::max()));
    ids.push_back(static_cast<int32_t>(id));
  }
  return absl::OkStatus();
}

absl::StatusOr<PostProcessor> ParseTemplate(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(json.Only({"type", "single", "pair", "special_tokens"}));
  SKERRY_ASSIGN_OR_RETURN(const std::vector<JsonView> parts, json.At("single").Elements());
  PostProcessor processor;
  bool has_text = false;
  for (const JsonView& part : parts) {
    SKERRY_RETURN_IF_ERROR(part.Only({"SpecialToken", "Sequence"}));
    const JsonView sequence = part.At("Sequence");
    if (!sequence.is_null()) {
      if (has_text) return part.Error("the text may stand in a template once");
      has_text = true;
      continue;
    }
    const JsonView token = part.At("SpecialToken");
    SKERRY_RETURN_IF_ERROR(token.Only({"id", "type_id"}));
    SKERRY_ASSIGN_OR_RETURN(const std::string name, token.At("id").Text());
    SKERRY_RETURN_IF_ERROR(
        AppendIds(json.At("special_tokens"), name, has_text ? processor.after : processor.before));
  }
  if (!has_text) return json.At("single").Error("has no place for the text (Sequence)");
  return processor;
}

}  // namespace

absl::StatusOr<PostProcessor> PostProcessor::Parse(const JsonView& json) {
  if (json.is_null()) return PostProcessor();
  SKERRY_ASSIGN_OR_RETURN(const std::string type, json.Type());
  if (type == "ByteLevel") return PostProcessor();
  if (type == "TemplateProcessing") return ParseTemplate(json);
  if (type == "Sequence") {
    SKERRY_RETURN_IF_ERROR(json.Only({"type", "processors"}));
    SKERRY_ASSIGN_OR_RETURN(const std::vector<JsonView> parts, json.At("processors").Elements());
    PostProcessor all;
    for (const JsonView& part : parts) {
      SKERRY_ASSIGN_OR_RETURN(const PostProcessor one, Parse(part));
      all.before.insert(all.before.begin(), one.before.begin(), one.before.end());
      all.after.insert(all.after.end(), one.after.begin(), one.after.end());
    }
    return all;
  }
  return json.UnknownType(type, "ByteLevel, Sequence, TemplateProcessing");
}

}  // namespace skerry
