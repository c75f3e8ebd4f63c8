// Strict, typed reading of a YAML tree. A value that is missing, of the wrong type or out of range
// is never set: the fallback comes back, and what was wrong goes to the diagnostics.
//
//   SectionReader round = job.Section("round");
//   config.round.quorum = round.Integer("quorum", config.round.quorum, {1, 100'000});
//   round.Finish();
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/config_error.h"
#include "common/config/yaml_document.h"

namespace skerry {

// The numbers from `min` to `max`, both allowed unless said otherwise.
template <typename T>
struct Range {
  T min{};
  T max{};
  bool excludes_min = false;
  bool excludes_max = false;
};

// A word of the YAML and what it stands for.
template <typename Enum>
struct EnumWord {
  std::string_view word;
  Enum value;
};

// The candidate closest to `word` by edit distance; empty if none is close enough to be meant.
std::string_view NearestWord(std::string_view word, std::span<const std::string_view> candidates);

// One section being read. Every key asked for becomes a known key; Finish reports the others.
// Refers to the tree and the diagnostics, which must outlive it.
class SectionReader {
 public:
  SectionReader(const YamlNode& node, std::string path, ConfigDiagnostics& diagnostics);

  const std::string& path() const { return path_; }
  int line() const { return node_->place.line; }
  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  // False for null too.
  bool HasValue(std::string_view key) const {
    return Has(key) && Find(key)->kind != YamlNode::Kind::kNull;
  }

  // `fallback` if the key is absent or its value is refused.
  int64_t Integer(std::string_view key, int64_t fallback, Range<int64_t> range);
  uint64_t Unsigned(std::string_view key, uint64_t fallback);
  double Number(std::string_view key, double fallback, Range<double> range);
  bool Flag(std::string_view key, bool fallback);
  std::string Text(std::string_view key, std::string fallback);
  // The same; null is allowed and means absent.
  std::optional<std::string> OptionalText(std::string_view key);
  std::optional<double> OptionalNumber(std::string_view key, Range<double> range);
  // A list of 1 to `count_max` integers; empty if absent or refused.
  std::vector<int64_t> Integers(std::string_view key, Range<int64_t> range, size_t count_max);

  template <typename Enum, size_t N>
  Enum Word(std::string_view key, Enum fallback, const EnumWord<Enum> (&words)[N]) {
    const YamlNode* entry = Ask(key);
    if (entry == nullptr) return fallback;
    const std::optional<Enum> value = WordOf(*entry, PathOf(key), words, diagnostics_);
    has_refused_word_ = has_refused_word_ || !value.has_value();
    return value.value_or(fallback);
  }

  // A list of words; those that are refused are left out.
  template <typename Enum, size_t N>
  std::vector<Enum> Words(std::string_view key, const EnumWord<Enum> (&words)[N]) {
    std::vector<Enum> values;
    const std::vector<const YamlNode*> items = List(key);
    for (size_t i = 0; i < items.size(); ++i) {
      if (const auto value = WordOf(*items[i], ItemPath(key, i), words, diagnostics_)) {
        values.push_back(*value);
      }
    }
    return values;
  }

  // An absent section reads as an empty one.
  SectionReader Section(std::string_view key);
  // The items of a list; none if absent or refused. Item i has the path ItemPath(key, i).
  std::vector<const YamlNode*> List(std::string_view key);
  std::string ItemPath(std::string_view key, size_t index) const;

  // Reports each of `keys` that is absent.
  void Require(std::initializer_list<std::string_view> keys);
  // Reports each of `keys` that is present although not `applies`: "only applies to <whom>". Silent
  // after a word of the section was refused: the one that was meant might allow the keys.
  void OnlyIf(bool applies, std::string_view whom, std::initializer_list<std::string_view> keys);
  // Adds "<path of key> <what>" at the key's place.
  void Refuse(std::string_view key, std::string_view what);
  // Reports every key of the section that nobody asked for.
  void Finish();

  // The value of a word, or nothing and an error with the words that are allowed.
  template <typename Enum, size_t N>
  static std::optional<Enum> WordOf(const YamlNode& node, const std::string& path,
                                    const EnumWord<Enum> (&words)[N],
                                    ConfigDiagnostics& diagnostics) {
    std::vector<std::string_view> names;
    for (const EnumWord<Enum>& word : words) names.push_back(word.word);
    const std::optional<size_t> index = IndexOfWord(node, path, names, diagnostics);
    return index.has_value() ? std::optional(words[*index].value) : std::nullopt;
  }

 private:
  std::string PathOf(std::string_view key) const;
  const YamlNode* Find(std::string_view key) const;
  // The same, and `key` is known from now on.
  const YamlNode* Ask(std::string_view key);
  static std::optional<size_t> IndexOfWord(const YamlNode& node, const std::string& path,
                                           std::span<const std::string_view> names,
                                           ConfigDiagnostics& diagnostics);

  const YamlNode* node_;
  std::string path_;
  ConfigDiagnostics& diagnostics_;
  std::vector<std::string> known_;
  bool has_refused_word_ = false;
};

}  // namespace skerry
