// YAML text as a tree of plain values, without yaml-cpp's types. Made for text that may be hostile
// (a job also reaches an agent over the network): size, depth, number of values and of keys in a
// section are limited, and what a configuration has no use for (anchors, aliases, tags, several
// documents, control characters) is refused.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/config_error.h"

namespace skerry {

inline constexpr size_t kYamlBytesMax = 1 << 20;
inline constexpr size_t kYamlDepthMax = 16;
inline constexpr size_t kYamlValuesMax = 100'000;
inline constexpr size_t kYamlKeysMax = 256;  // in one section

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kSection };
  Kind kind = Kind::kNull;
  std::string key{};                 // the name of an entry of a section
  std::string text{};                // kScalar
  bool is_quoted = false;            // kScalar: "5" is a text, 5 a number
  std::vector<YamlNode> children{};  // items of a list, entries of a section; keys are unique
  Place place{};                     // of the key if it has one, else of the value
};

// The entry `key` of a section; null if there is none.
const YamlNode* FindEntry(const YamlNode& section, std::string_view key);

// Reads one document; an empty one is an empty section. Returns nothing if the text is no YAML or
// exceeds a limit. Errors, repeated keys among them (the first counts), go to `diagnostics`.
// Line numbers are counted from `place`; if place.line is 0 the source has no lines.
std::optional<YamlNode> ParseYaml(std::string_view text, const Place& place,
                                  ConfigDiagnostics& diagnostics);

// Puts the value of "a.b=value" (value is YAML; a list's item is named by its position, as in
// nodes.0.id) into the tree; sections that are missing are made. Errors name "--set a.b".
void ApplyOverride(std::string_view override_text, YamlNode& root, ConfigDiagnostics& diagnostics);

}  // namespace skerry
