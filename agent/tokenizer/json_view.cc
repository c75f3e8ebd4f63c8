#include "agent/tokenizer/json_view.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

const nlohmann::json kNull;

// Messages stay readable whatever the file holds.
constexpr size_t kShownBytesMax = 80;

std::string Shown(const nlohmann::json& json) {
  if (json.is_object() || json.is_array()) return fmt::format("an {}", json.type_name());
  std::string text = json.dump(-1, ' ', /*ensure_ascii=*/true);
  if (text.size() > kShownBytesMax) text = text.substr(0, kShownBytesMax) + "...";
  return text;
}

}  // namespace

absl::Status JsonView::Error(std::string_view problem) const {
  if (field_.empty()) return absl::InvalidArgumentError(fmt::format("{}: {}", file_, problem));
  return absl::InvalidArgumentError(fmt::format("{}: {}: {}", file_, field_, problem));
}

absl::Status JsonView::Only(std::initializer_list<std::string_view> keys) const {
  if (!json_->is_object()) return Error(fmt::format("expected an object, got {}", Shown(*json_)));
  for (const auto& [key, value] : json_->items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return Error(fmt::format("{} is not supported; known here: {}", Shown(key),
                               fmt::join(keys.begin(), keys.end(), ", ")));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> JsonView::Type() const {
  if (!json_->is_object()) return Error(fmt::format("expected an object, got {}", Shown(*json_)));
  return At("type").Text();
}

absl::Status JsonView::UnknownType(std::string_view type, std::string_view known) const {
  return At("type").Error(fmt::format("{} is not supported; supported are {}", Shown(type), known));
}

JsonView JsonView::At(std::string_view key) const {
  SKERRY_ASSERT(json_->is_object());
  const auto found = json_->find(std::string(key));
  return {found == json_->end() ? kNull : *found, file_,
          fmt::format("{}{}{}", field_, field_.empty() ? "" : ".", key)};
}

absl::StatusOr<std::vector<JsonView>> JsonView::Elements() const {
  if (!json_->is_array()) return Error(fmt::format("expected an array, got {}", Shown(*json_)));
  std::vector<JsonView> elements;
  elements.reserve(json_->size());
  for (size_t i = 0; i < json_->size(); ++i) {
    elements.push_back(JsonView((*json_)[i], file_, fmt::format("{}[{}]", field_, i)));
  }
  return elements;
}

absl::StatusOr<std::string> JsonView::Text() const {
  if (!json_->is_string()) return Error(fmt::format("expected a string, got {}", Shown(*json_)));
  return json_->get<std::string>();
}

absl::StatusOr<bool> JsonView::Bool() const {
  if (!json_->is_boolean()) {
    return Error(fmt::format("expected true or false, got {}", Shown(*json_)));
  }
  return json_->get<bool>();
}

absl::StatusOr<int64_t> JsonView::Count(int64_t max) const {
  if (!json_->is_number_unsigned() || json_->get<uint64_t>() > static_cast<uint64_t>(max)) {
    return Error(fmt::format("expected a whole number 0..{}, got {}", max, Shown(*json_)));
  }
  return json_->get<int64_t>();
}

absl::StatusOr<std::string> JsonView::TextOr(std::string_view key,
                                             std::string_view fallback) const {
  const JsonView value = At(key);
  return value.is_null() ? std::string(fallback) : value.Text();
}

absl::StatusOr<bool> JsonView::BoolOr(std::string_view key, bool fallback) const {
  const JsonView value = At(key);
  return value.is_null() ? fallback : value.Bool();
}

}  // namespace skerry
