#include "common/config/yaml_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

namespace skerry {
namespace {

// Longer words are not compared: nobody meant a key of this length.
constexpr size_t kWordBytesMax = 64;
constexpr size_t kTextBytesMax = 4096;
constexpr size_t kShownBytesMax = 60;

// Levenshtein distance.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// What the user wrote, short and on one line.
std::string Describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kSection:
      return "a section";
    case YamlNode::Kind::kScalar:
      break;
  }
  std::string shown = node.text.substr(0, kShownBytesMax);
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  if (node.text.size() > kShownBytesMax) shown += "...";
  return node.is_quoted ? fmt::format("\"{}\"", shown) : shown;
}

template <typename T>
std::optional<T> ParseScalar(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kScalar || node.is_quoted) return std::nullopt;
  const char* begin = node.text.data();
  const char* end = begin + node.text.size();
  if (node.text.size() > 1 && *begin == '+' && begin[1] != '-') ++begin;
  T value{};
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

template <typename T>
bool Contains(const Range<T>& range, T value) {
  return (range.excludes_min ? value > range.min : value >= range.min) &&
         (range.excludes_max ? value < range.max : value <= range.max);
}

// "1..4096", "above 0 and at most 1", "at least 0 and below 1"
template <typename T>
std::string Describe(const Range<T>& range) {
  if (range.min == range.max) return fmt::format("{}", range.min);
  if (!range.excludes_min && !range.excludes_max) {
    return fmt::format("{}..{}", range.min, range.max);
  }
  return fmt::format("{} {} and {} {}", range.excludes_min ? "above" : "at least", range.min,
                     range.excludes_max ? "below" : "at most", range.max);
}

std::optional<int64_t> IntegerOf(const YamlNode& node, const std::string& path,
                                 const Range<int64_t>& range, ConfigDiagnostics& diagnostics) {
  const std::optional<int64_t> value = ParseScalar<int64_t>(node);
  if (value.has_value() && Contains(range, *value)) return value;
  diagnostics.Add(path, fmt::format("must be {}{}, got {}", value.has_value() ? "" : "an integer ",
                                    Describe(range), Describe(node)));
  return std::nullopt;
}

std::optional<std::string> TextOf(const YamlNode& node, const std::string& path,
                                  ConfigDiagnostics& diagnostics) {
  if (node.kind != YamlNode::Kind::kScalar || node.text.empty()) {
    diagnostics.Add(
        path, fmt::format("must be a text, got {}",
                          node.kind == YamlNode::Kind::kScalar ? "an empty one" : Describe(node)));
    return std::nullopt;
  }
  const bool has_control = std::any_of(node.text.begin(), node.text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  if (has_control || node.text.size() > kTextBytesMax) {
    diagnostics.Add(path, fmt::format("must be a text of at most {} bytes on one line, got {}",
                                      kTextBytesMax, Describe(node)));
    return std::nullopt;
  }
  return node.text;
}

const YamlNode& EmptySection() {
  static const YamlNode kEmpty{.kind = YamlNode::Kind::kSection};
  return kEmpty;
}

}  // namespace

std::string_view NearestWord(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > kWordBytesMax) return {};
  // One slip in three letters, two at least: batchsize is batch_size, lr is not mu.
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  std::string_view best;
  for (const std::string_view candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

SectionReader::SectionReader(const YamlNode& node, std::string path, ConfigDiagnostics& diagnostics)
    : node_(&node), path_(std::move(path)), diagnostics_(diagnostics) {
  if (node_->kind == YamlNode::Kind::kNull) node_ = &EmptySection();
  if (node_->kind != YamlNode::Kind::kSection) {
    diagnostics_.Add(path_, fmt::format("must be a section of keys, got {}", Describe(*node_)));
    node_ = &EmptySection();
  }
  for (const YamlNode& entry : node_->children) {
    diagnostics_.NotePlace(PathOf(entry.key), entry.place);
  }
}

std::string SectionReader::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

std::string SectionReader::ItemPath(std::string_view key, size_t index) const {
  return fmt::format("{}[{}]", PathOf(key), index);
}

const YamlNode* SectionReader::Find(std::string_view key) const { return FindEntry(*node_, key); }

const YamlNode* SectionReader::Ask(std::string_view key) {
  known_.emplace_back(key);
  return Find(key);
}

int64_t SectionReader::Integer(std::string_view key, int64_t fallback, Range<int64_t> range) {
  const YamlNode* entry = Ask(key);
  if (entry == nullptr) return fallback;
  return IntegerOf(*entry, PathOf(key), range, diagnostics_).value_or(fallback);
}

uint64_t SectionReader::Unsigned(std::string_view key, uint64_t fallback) {
  const YamlNode* entry = Ask(key);
  if (entry == nullptr) return fallback;
  const std::optional<uint64_t> value = ParseScalar<uint64_t>(*entry);
  if (!value.has_value()) {
    Refuse(key, fmt::format("must be an integer 0..{}, got {}", UINT64_MAX, Describe(*entry)));
  }
  return value.value_or(fallback);
}

double SectionReader::Number(std::string_view key, double fallback, Range<double> range) {
  const YamlNode* entry = Ask(key);
  if (entry == nullptr) return fallback;
  const std::optional<double> value = ParseScalar<double>(*entry);
  const bool is_number = value.has_value() && std::isfinite(*value);
  if (is_number && Contains(range, *value)) return *value;
  Refuse(key, fmt::format("must be {}{}, got {}", is_number ? "" : "a number ", Describe(range),
                          Describe(*entry)));
  return fallback;
}

bool SectionReader::Flag(std::string_view key, bool fallback) {
  const YamlNode* entry = Ask(key);
  if (entry == nullptr) return fallback;
  const bool is_plain = entry->kind == YamlNode::Kind::kScalar && !entry->is_quoted;
  if (is_plain && (entry->text == "true" || entry->text == "false")) return entry->text == "true";
  Refuse(key, fmt::format("must be true or false, got {}", Describe(*entry)));
  return fallback;
}

std::string SectionReader::Text(std::string_view key, std::string fallback) {
  const YamlNode* entry = Ask(key);
  if (entry == nullptr) return fallback;
  return TextOf(*entry, PathOf(key), diagnostics_).value_or(std::move(fallback));
}

std::optional<std::string> SectionReader::OptionalText(std::string_view key) {
  const YamlNode* entry = Ask(key);
  if (entry == nullptr || entry->kind == YamlNode::Kind::kNull) return std::nullopt;
  return TextOf(*entry, PathOf(key), diagnostics_);
}

std::optional<double> SectionReader::OptionalNumber(std::string_view key, Range<double> range) {
  const YamlNode* entry = Ask(key);
  if (entry == nullptr || entry->kind == YamlNode::Kind::kNull) return std::nullopt;
  return Number(key, range.max, range);
}

std::vector<int64_t> SectionReader::Integers(std::string_view key, Range<int64_t> range,
                                             size_t count_max) {
  const bool is_present = Has(key);
  const std::vector<const YamlNode*> items = List(key);
  if (is_present && diagnostics_.IsSound({PathOf(key)}) &&
      (items.empty() || items.size() > count_max)) {
    Refuse(key, fmt::format("must be a list of 1..{} integers, got {}", count_max, items.size()));
    return {};
  }
  std::vector<int64_t> values;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto value = IntegerOf(*items[i], ItemPath(key, i), range, diagnostics_);
    if (!value.has_value()) return {};
    values.push_back(*value);
  }
  return values;
}

SectionReader SectionReader::Section(std::string_view key) {
  const YamlNode* entry = Ask(key);
  return SectionReader(entry == nullptr ? EmptySection() : *entry, PathOf(key), diagnostics_);
}

std::vector<const YamlNode*> SectionReader::List(std::string_view key) {
  const YamlNode* entry = Ask(key);
  if (entry == nullptr) return {};
  if (entry->kind != YamlNode::Kind::kList) {
    Refuse(key, fmt::format("must be a list, got {}", Describe(*entry)));
    return {};
  }
  std::vector<const YamlNode*> items;
  for (const YamlNode& item : entry->children) {
    diagnostics_.NotePlace(ItemPath(key, items.size()), item.place);
    items.push_back(&item);
  }
  return items;
}

void SectionReader::Require(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (!Has(key)) Refuse(key, "is missing");
  }
}

void SectionReader::OnlyIf(bool applies, std::string_view whom,
                           std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (!applies && !has_refused_word_ && Has(key))
      Refuse(key, fmt::format("only applies to {}", whom));
  }
}

void SectionReader::Refuse(std::string_view key, std::string_view what) {
  diagnostics_.Add(PathOf(key), what);
}

void SectionReader::Finish() {
  const std::vector<std::string_view> known(known_.begin(), known_.end());
  for (const YamlNode& entry : node_->children) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    const std::string_view nearest = NearestWord(entry.key, known);
    const std::string key = entry.key.substr(0, kWordBytesMax);
    diagnostics_.AddAt(
        entry.place, PathOf(key),
        nearest.empty()
            ? fmt::format("is not a known key, expected one of {}", fmt::join(known, ", "))
            : fmt::format("is not a known key, did you mean {}?", nearest));
  }
}

std::optional<size_t> SectionReader::IndexOfWord(const YamlNode& node, const std::string& path,
                                                 std::span<const std::string_view> names,
                                                 ConfigDiagnostics& diagnostics) {
  if (node.kind == YamlNode::Kind::kScalar) {
    const auto found = std::find(names.begin(), names.end(), node.text);
    if (found != names.end()) return static_cast<size_t>(found - names.begin());
  }
  std::string message =
      fmt::format("must be one of {}, got {}", fmt::join(names, ", "), Describe(node));
  const std::string_view nearest =
      node.kind == YamlNode::Kind::kScalar ? NearestWord(node.text, names) : std::string_view();
  if (!nearest.empty()) message += fmt::format("; did you mean {}?", nearest);
  diagnostics.Add(path, message);
  return std::nullopt;
}

}  // namespace skerry
