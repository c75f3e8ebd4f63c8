#include "common/config/yaml_document.h"

#include <algorithm>
#include <charconv>
#include <list>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace skerry {
namespace {

struct Refusal {
  int line = 0;  // from 1
  std::string message;
};

// Ends yaml-cpp's parser from inside a callback; never leaves ParseYaml.
class RefusalException : public std::runtime_error {
 public:
  explicit RefusalException(Refusal refusal)
      : std::runtime_error(refusal.message), refusal_(std::move(refusal)) {}
  const Refusal& refusal() const { return refusal_; }

 private:
  Refusal refusal_;
};

// Bytes that follow the first of a UTF-8 sequence, or -1 if it cannot start one.
int ContinuationCount(unsigned char first) {
  if (first < 0x80) return 0;
  if (first >= 0xC2 && first <= 0xDF) return 1;
  if (first >= 0xE0 && first <= 0xEF) return 2;
  if (first >= 0xF0 && first <= 0xF4) return 3;
  return -1;
}

// yaml-cpp takes the byte 0x04 for the end of the file and replaces broken UTF-8 silently, so both
// are looked for here.
std::optional<Refusal> FindNonText(std::string_view text) {
  int line = 1;
  int continuation = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_continuation = (byte & 0xC0) == 0x80;
    if (is_continuation != (continuation > 0)) return Refusal{line, "the text is not valid UTF-8"};
    if (is_continuation) {
      --continuation;
      continue;
    }
    continuation = ContinuationCount(byte);
    if (continuation < 0) return Refusal{line, "the text is not valid UTF-8"};
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7F) {
      return Refusal{line, fmt::format("expected text, got the control byte 0x{:02x}", byte)};
    }
    if (c == '\n') ++line;
  }
  if (continuation > 0) return Refusal{line, "the text is not valid UTF-8"};
  return std::nullopt;
}

// Builds the tree from yaml-cpp's events. Pointers into the tree stay valid because only the
// innermost open node grows.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(Place first, ConfigDiagnostics& diagnostics)
      : first_(std::move(first)), diagnostics_(diagnostics) {}

  YamlNode TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++document_count_ > 1) Refuse(mark, "expected one document, got several (---)");
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "aliases (*name) are not supported: write the value out");
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Enter(mark, "?", anchor, YamlNode::Kind::kNull);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (TakeAsKey(mark, value)) return;
    YamlNode& node = Enter(mark, tag, anchor, YamlNode::Kind::kScalar);
    node.text = value;
    node.is_quoted = tag == "!";
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, Enter(mark, tag, anchor, YamlNode::Kind::kList));
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, Enter(mark, tag, anchor, YamlNode::Kind::kSection));
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct OpenNode {
    YamlNode* node = nullptr;
    std::optional<std::string> key;  // read, its value is next
    Place key_place;
  };

  [[noreturn]] void Refuse(const YAML::Mark& mark, std::string message) {
    throw RefusalException({mark.line + 1, std::move(message)});
  }

  Place PlaceOf(const YAML::Mark& mark) const {
    return {first_.source, first_.line == 0 ? 0 : first_.line + mark.line};
  }

  bool ExpectsKey() const {
    return !open_.empty() && open_.back().node->kind == YamlNode::Kind::kSection &&
           !open_.back().key.has_value();
  }

  bool TakeAsKey(const YAML::Mark& mark, const std::string& key) {
    if (!ExpectsKey()) return false;
    open_.back().key = key;
    open_.back().key_place = PlaceOf(mark);
    return true;
  }

  // Adds a node where the parser stands.
  YamlNode& Enter(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YamlNode::Kind kind) {
    if (anchor != YAML::NullAnchor) {
      Refuse(mark, "anchors (&name) are not supported: write the value out");
    }
    if (!tag.empty() && tag != "?" && tag != "!") {
      Refuse(mark, fmt::format("tags are not supported, got {}", tag.substr(0, 60)));
    }
    if (ExpectsKey())
      Refuse(mark,
             "expected a word as key, got a list, a section or nothing (is a bracket not closed?)");
    if (++value_count_ > kYamlValuesMax) {
      Refuse(mark, fmt::format("more than {} values", kYamlValuesMax));
    }
    YamlNode node{.kind = kind, .place = PlaceOf(mark)};
    if (open_.empty()) return root_ = std::move(node);
    OpenNode& parent = open_.back();
    if (parent.key.has_value()) {
      node.key = *std::exchange(parent.key, std::nullopt);
      node.place = parent.key_place;
      if (const YamlNode* first = FindEntry(*parent.node, node.key)) {
        diagnostics_.AddAt(node.place, PathOfEntry(node.key),
                           fmt::format("is given twice, first on line {}", first->place.line));
        return dropped_.emplace_back(std::move(node));
      }
      if (parent.node->children.size() == kYamlKeysMax) {
        Refuse(mark, fmt::format("more than {} keys in one section", kYamlKeysMax));
      }
    }
    return parent.node->children.emplace_back(std::move(node));
  }

  std::string PathOfEntry(const std::string& key) const {
    std::string path;
    for (size_t i = 1; i < open_.size(); ++i) {
      const YamlNode& node = *open_[i].node;
      path += node.key.empty() ? fmt::format("[{}]", open_[i - 1].node->children.size() - 1)
                               : fmt::format("{}{}", path.empty() ? "" : ".", node.key);
    }
    return fmt::format("{}{}{}", path, path.empty() ? "" : ".", key);
  }

  void Open(const YAML::Mark& mark, YamlNode& node) {
    if (open_.size() == kYamlDepthMax) {
      Refuse(mark, fmt::format("nested more than {} levels deep", kYamlDepthMax));
    }
    open_.push_back({&node, std::nullopt, {}});
  }

  Place first_;
  ConfigDiagnostics& diagnostics_;
  YamlNode root_;
  std::list<YamlNode> dropped_;  // the values of repeated keys
  std::vector<OpenNode> open_;
  size_t value_count_ = 0;
  int document_count_ = 0;
};

// The tree, or why there is none.
std::optional<Refusal> Build(std::string_view text, TreeBuilder& builder) {
  // yaml-cpp takes a quote for closed if the file ends with a line break before the closing one.
  text = text.substr(0, text.find_last_not_of(" \n\r\t") + 1);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const RefusalException& exception) {
    return exception.refusal();
  } catch (const YAML::Exception& exception) {
    return Refusal{exception.mark.line + 1, fmt::format("not valid YAML: {}", exception.msg)};
  } catch (const std::exception& exception) {
    return Refusal{1, fmt::format("not readable as YAML: {}", exception.what())};
  }
  return std::nullopt;
}

// The child `key` of `node`, made if `node` is a section (or nothing yet); null if there is none.
YamlNode* Step(const std::string& key, const Place& place, YamlNode& node) {
  if (node.kind == YamlNode::Kind::kNull) node.kind = YamlNode::Kind::kSection;
  if (node.kind == YamlNode::Kind::kList) {
    size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    const bool is_index = error == std::errc() && end == key.data() + key.size();
    return is_index && index < node.children.size() ? &node.children[index] : nullptr;
  }
  if (node.kind != YamlNode::Kind::kSection) return nullptr;
  for (YamlNode& child : node.children) {
    if (child.key == key) return &child;
  }
  if (node.children.size() == kYamlKeysMax) return nullptr;
  return &node.children.emplace_back(YamlNode{.key = key, .place = place});
}

void SetPlace(const Place& place, YamlNode& node) {
  node.place = place;
  for (YamlNode& child : node.children) SetPlace(place, child);
}

}  // namespace

const YamlNode* FindEntry(const YamlNode& section, std::string_view key) {
  if (section.kind != YamlNode::Kind::kSection) return nullptr;
  for (const YamlNode& entry : section.children) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

std::optional<YamlNode> ParseYaml(std::string_view text, const Place& place,
                                  ConfigDiagnostics& diagnostics) {
  if (text.size() > kYamlBytesMax) {
    diagnostics.AddAt({place.source, 0}, "",
                      fmt::format("expected at most {} bytes, got {}", kYamlBytesMax, text.size()));
    return std::nullopt;
  }
  std::optional<Refusal> refusal = FindNonText(text);
  TreeBuilder builder(place, diagnostics);
  if (!refusal.has_value()) refusal = Build(text, builder);
  if (refusal.has_value()) {
    const int line = place.line == 0 ? 0 : place.line + refusal->line - 1;
    diagnostics.AddAt({place.source, line}, "", refusal->message);
    return std::nullopt;
  }
  return builder.TakeRoot();
}

void ApplyOverride(std::string_view override_text, YamlNode& root, ConfigDiagnostics& diagnostics) {
  const size_t equals = override_text.find('=');
  const std::string path(override_text.substr(0, equals));
  const Place place{fmt::format("--set {}", path.substr(0, 100)), 0};
  const auto refuse = [&](std::string_view what) { diagnostics.AddAt(place, "", what); };
  if (equals == std::string_view::npos) return refuse("expected key=value, as in round.count=5");

  std::optional<YamlNode> value = ParseYaml(override_text.substr(equals + 1), place, diagnostics);
  if (!value.has_value()) return;
  SetPlace(place, *value);

  YamlNode* node = &root;
  for (size_t begin = 0, depth = 0; begin <= path.size(); ++depth) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string key = path.substr(begin, end - begin);
    begin = end + 1;
    if (key.empty()) return refuse("expected a key of words joined by dots, as in round.count");
    if (depth == kYamlDepthMax) return refuse("the key is too deep");
    node = Step(key, place, *node);
    if (node == nullptr) {
      return refuse(fmt::format("{} does not lie in a section or a list of that length", key));
    }
  }
  value->key = node->key;
  *node = std::move(*value);
}

}  // namespace skerry
