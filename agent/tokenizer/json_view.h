// A value inside a JSON file together with its place, so that every error says "FILE:
// model.merges[7]: expected ..., got ...". Reading never throws; a missing key and a null are the
// same.
//
// Points into the document, which must outlive it. Keys that a component does not know are refused
// with their name: what is not understood could change the ids.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"

namespace skerry {

class JsonView {
 public:
  // The whole document; `file` begins every error.
  JsonView(const nlohmann::json& json, std::string file) : json_(&json), file_(std::move(file)) {}

  const nlohmann::json& json() const { return *json_; }
  bool is_null() const { return json_->is_null(); }

  // kInvalidArgument: "FILE: PLACE: problem".
  absl::Status Error(std::string_view problem) const;
  // Fails if this is no object or has other keys than these.
  absl::Status Only(std::initializer_list<std::string_view> keys) const;

  // The string under "type", which every component of a tokenizer has. Fails if this is no object.
  absl::StatusOr<std::string> Type() const;
  // Says that a component of this type is not supported, and which ones are.
  absl::Status UnknownType(std::string_view type, std::string_view known) const;

  // The value of `key`, null if it is missing. This must be an object (Only has been asked).
  JsonView At(std::string_view key) const;
  // The elements. Fails if this is no array.
  absl::StatusOr<std::vector<JsonView>> Elements() const;

  absl::StatusOr<std::string> Text() const;
  absl::StatusOr<bool> Bool() const;
  // 0 to `max`.
  absl::StatusOr<int64_t> Count(int64_t max) const;

  // The same for a key that may be missing or null.
  absl::StatusOr<std::string> TextOr(std::string_view key, std::string_view fallback) const;
  absl::StatusOr<bool> BoolOr(std::string_view key, bool fallback) const;

 private:
  JsonView(const nlohmann::json& json, std::string file, std::string field)
      : json_(&json), file_(std::move(file)), field_(std::move(field)) {}

  const nlohmann::json* json_;
  std::string file_;
  std::string field_;  // empty at the root
};

}  // namespace skerry
