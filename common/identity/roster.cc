#include "common/identity/roster.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/identity/z85.h"

namespace skerry {
namespace {

constexpr size_t kNameBytesMax = 64;
constexpr size_t kProblemsShownMax = 100;

struct Place {
  size_t source = 0;
  size_t line = 0;
  auto operator<=>(const Place&) const = default;
};

struct PlacedProcess {
  RosterProcess process;
  Place place;
};

struct PlacedNode {
  RosterNode node;
  std::string_view process;  // in the source's text
  Place place;
};

// A word from a file that somebody else may have written, fit for a terminal.
std::string Printable(std::string_view word) {
  constexpr size_t kShownMax = 80;
  std::string text(word.substr(0, kShownMax));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return word.size() > kShownMax ? text + "..." : text;
}

// Reads all sources, then checks them against each other.
class Parser {
 public:
  Parser(std::span<const RosterSource> sources, size_t node_count_max)
      : sources_(sources), node_count_max_(node_count_max) {}

  void ReadLines() {
    for (size_t source = 0; source < sources_.size(); ++source) {
      std::string_view rest = sources_[source].text;
      for (size_t line = 1; !rest.empty(); ++line) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        ReadLine(RosterWords(rest.substr(0, end)), {source, line});
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    }
    std::sort(processes.begin(), processes.end(), [](const auto& a, const auto& b) {
      return std::tie(a.process.name, a.place) < std::tie(b.process.name, b.place);
    });
    std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) {
      return std::tie(a.node.id, a.place) < std::tie(b.node.id, b.place);
    });
  }

  void CheckNamesAreUnique() {
    for (size_t i = 1; i < processes.size(); ++i) {
      if (processes[i].process.name == processes[i - 1].process.name) {
        Report(processes[i].place,
               fmt::format("process {} is already at {}", processes[i].process.name.value(),
                           Where(processes[i - 1].place)));
      }
    }
    for (size_t i = 1; i < nodes.size(); ++i) {
      if (nodes[i].node.id == nodes[i - 1].node.id) {
        Report(nodes[i].place, fmt::format("node {} is already at {}", nodes[i].node.id.value(),
                                           Where(nodes[i - 1].place)));
      }
    }
  }

  // Two owners of one key could speak for each other.
  template <typename Items, typename KeyOf>
  void CheckKeysAreUnique(const Items& items, KeyOf key_of) {
    std::vector<uint32_t> order(items.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return std::tie(key_of(items[a]), items[a].place) <
             std::tie(key_of(items[b]), items[b].place);
    });
    for (size_t i = 1; i < order.size(); ++i) {
      const auto& before = items[order[i - 1]];
      const auto& item = items[order[i]];
      if (key_of(item) == key_of(before)) {
        Report(item.place, fmt::format("the key is already used at {}", Where(before.place)));
      }
    }
  }

  void ResolveProcesses() {
    for (PlacedNode& node : nodes) {
      const auto found = std::lower_bound(
          processes.begin(), processes.end(), node.process,
          [](const PlacedProcess& a, std::string_view b) { return a.process.name.value() < b; });
      if (found == processes.end() || found->process.name.value() != node.process) {
        Report(node.place, fmt::format("process {} of node {} has no line of its own",
                                       Printable(node.process), node.node.id.value()));
        continue;
      }
      node.node.process_index = static_cast<uint32_t>(found - processes.begin());
    }
  }

  absl::Status Result() {
    if (problems_.empty()) return absl::OkStatus();
    std::stable_sort(problems_.begin(), problems_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string text;
    for (size_t i = 0; i < problems_.size(); ++i) {
      if (i > 0) text += '\n';
      text += fmt::format("{}: {}", Where(problems_[i].first), problems_[i].second);
    }
    if (problems_left_out_ > 0) text += fmt::format("\nand {} more", problems_left_out_);
    return absl::InvalidArgumentError(text);
  }

  std::vector<PlacedProcess> processes;
  std::vector<PlacedNode> nodes;

 private:
  std::string Where(const Place& place) const {
    return fmt::format("{}:{}", sources_[place.source].name, place.line);
  }

  // Only counts what would not be shown: a file of nothing but errors has one every two bytes.
  void Report(const Place& place, std::string problem) {
    if (problems_.size() == kProblemsShownMax) {
      ++problems_left_out_;
      return;
    }
    problems_.emplace_back(place, std::move(problem));
  }

  bool CheckName(std::string_view what, std::string_view name, const Place& place) {
    if (IsValidName(name)) return true;
    Report(place, fmt::format("{} must be 1 to {} characters of [A-Za-z0-9._-], got \"{}\"", what,
                              kNameBytesMax, Printable(name)));
    return false;
  }

  void ReadLine(const std::vector<std::string_view>& words, const Place& place) {
    if (words.empty()) return;
    if (words[0] == "process" && words.size() == 3) return ReadProcess(words, place);
    if (words[0] == "node" && words.size() == 4) return ReadNode(words, place);
    Report(place, fmt::format(
                      "expected \"process NAME CURVE_KEY\" or \"node ID ED25519_KEY PROCESS\", got "
                      "\"{}\" with {} more words",
                      Printable(words[0]), words.size() - 1));
  }

  void ReadProcess(const std::vector<std::string_view>& words, const Place& place) {
    std::array<uint8_t, CurvePublicKey::kBytes> key{};
    const absl::Status status = Z85Decode(words[2], key);
    if (!status.ok()) Report(place, "CURVE key: " + std::string(status.message()));
    if (!CheckName("process", words[1], place) || !status.ok()) return;
    processes.push_back({{ProcessName(std::string(words[1])), CurvePublicKey(key)}, place});
  }

  void ReadNode(const std::vector<std::string_view>& words, const Place& place) {
    const absl::StatusOr<Ed25519PublicKey> key = Ed25519PublicKey::FromHex(words[2]);
    if (!key.ok()) Report(place, "Ed25519 key: " + std::string(key.status().message()));
    const bool is_named = CheckName("node", words[1], place);
    if (!CheckName("process", words[3], place) || !is_named || !key.ok()) return;
    if (nodes.size() == node_count_max_) {
      if (!has_too_many_) Report(place, fmt::format("more than {} nodes", node_count_max_));
      has_too_many_ = true;
      return;
    }
    nodes.push_back({{NodeId(std::string(words[1])), *key, 0}, words[3], place});
  }

  std::span<const RosterSource> sources_;
  size_t node_count_max_;
  std::vector<std::pair<Place, std::string>> problems_;
  size_t problems_left_out_ = 0;
  bool has_too_many_ = false;
};

// Calls `visit` with each canonical line in bytewise order. "node ..." sorts before "process ...",
// and within a kind the order of the lines is that of the names: a space sorts before every
// character of a name.
template <typename Visit>
void ForEachLine(const Roster& roster, Visit visit) {
  for (const RosterNode& node : roster.nodes()) {
    visit(RosterLine(node, roster.ProcessOf(node).name));
  }
  for (const RosterProcess& process : roster.processes()) visit(RosterLine(process));
}

Sha256Digest HashOf(const Roster& roster) {
  Sha256 hash;
  ForEachLine(roster, [&](const std::string& line) { hash.Update(line); });
  return hash.Finish();
}

// Items of one sorted list that the other lacks; `id_of` gives the name, `is_same` the rest.
template <typename Items, typename IdOf, typename IsSame, typename Ids>
void Missing(const Items& from, const Items& in, IdOf id_of, IsSame is_same, Ids& missing) {
  size_t at = 0;
  for (const auto& item : from) {
    while (at < in.size() && id_of(in[at]) < id_of(item)) ++at;
    const bool is_there = at < in.size() && id_of(in[at]) == id_of(item) && is_same(item, in[at]);
    if (!is_there) missing.push_back(id_of(item));
  }
}

}  // namespace

bool IsValidName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

std::vector<std::string_view> RosterWords(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  std::vector<std::string_view> words;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    if (line.empty() || (words.empty() && line.front() == '#')) return words;
    const size_t end = std::min(line.find_first_of(kBlank), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

std::string RosterLine(const RosterProcess& process) {
  return fmt::format("process {} {}\n", process.name.value(), Z85Encode(process.key.bytes()));
}

std::string RosterLine(const RosterNode& node, const ProcessName& process) {
  return fmt::format("node {} {} {}\n", node.id.value(), node.key.hex(), process.value());
}

Roster::Roster() : hash_(Sha256Of(std::string_view())) {}

absl::StatusOr<Roster> Roster::Parse(std::span<const RosterSource> sources, size_t node_count_max) {
  Parser parser(sources, node_count_max);
  parser.ReadLines();
  parser.CheckNamesAreUnique();
  parser.CheckKeysAreUnique(
      parser.processes, [](const PlacedProcess& p) -> const auto& { return p.process.key; });
  parser.CheckKeysAreUnique(
      parser.nodes, [](const PlacedNode& n) -> const auto& { return n.node.key; });
  parser.ResolveProcesses();
  SKERRY_RETURN_IF_ERROR(parser.Result());

  Roster roster;
  roster.processes_.reserve(parser.processes.size());
  for (PlacedProcess& placed : parser.processes) {
    roster.processes_.push_back(std::move(placed.process));
  }
  roster.nodes_.reserve(parser.nodes.size());
  for (PlacedNode& placed : parser.nodes) roster.nodes_.push_back(std::move(placed.node));
  roster.processes_by_key_.resize(roster.processes_.size());
  std::iota(roster.processes_by_key_.begin(), roster.processes_by_key_.end(), 0u);
  std::sort(
      roster.processes_by_key_.begin(), roster.processes_by_key_.end(),
      [&](uint32_t a, uint32_t b) { return roster.processes_[a].key < roster.processes_[b].key; });
  roster.hash_ = HashOf(roster);
  return roster;
}

absl::StatusOr<Roster> Roster::Load(const std::string& path) {
  SKERRY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kRosterBytesMax));
  const RosterSource source{path, text};
  return Parse({&source, 1});
}

const RosterProcess* Roster::FindProcess(const ProcessName& name) const {
  const auto found =
      std::lower_bound(processes_.begin(), processes_.end(), name,
                       [](const RosterProcess& a, const ProcessName& b) { return a.name < b; });
  return found != processes_.end() && found->name == name ? &*found : nullptr;
}

const RosterProcess* Roster::FindProcess(const CurvePublicKey& key) const {
  const auto found = std::lower_bound(
      processes_by_key_.begin(), processes_by_key_.end(), key,
      [&](uint32_t index, const CurvePublicKey& b) { return processes_[index].key < b; });
  return found != processes_by_key_.end() && processes_[*found].key == key ? &processes_[*found]
                                                                           : nullptr;
}

const RosterNode* Roster::FindNode(const NodeId& id) const {
  const auto found =
      std::lower_bound(nodes_.begin(), nodes_.end(), id,
                       [](const RosterNode& a, const NodeId& b) { return a.id < b; });
  return found != nodes_.end() && found->id == id ? &*found : nullptr;
}

std::vector<NodeId> Roster::NodeIds() const {
  std::vector<NodeId> ids;
  ids.reserve(nodes_.size());
  for (const RosterNode& node : nodes_) ids.push_back(node.id);
  return ids;
}

std::string Roster::CanonicalText() const {
  std::string text;
  ForEachLine(*this, [&](const std::string& line) { text += line; });
  return text;
}

RosterDiff DiffRosters(const Roster& before, const Roster& after) {
  const auto process_name = [](const RosterProcess& process) { return process.name; };
  const auto is_same_process = [](const RosterProcess& a, const RosterProcess& b) {
    return a.key == b.key;
  };
  RosterDiff diff;
  Missing(before.processes(), after.processes(), process_name, is_same_process,
          diff.removed_processes);
  Missing(after.processes(), before.processes(), process_name, is_same_process,
          diff.added_processes);
  const auto node_id = [](const RosterNode& node) { return node.id; };
  Missing(
      before.nodes(), after.nodes(), node_id,
      [&](const RosterNode& a, const RosterNode& b) {
        return a.key == b.key && before.ProcessOf(a).name == after.ProcessOf(b).name;
      },
      diff.removed_nodes);
  Missing(
      after.nodes(), before.nodes(), node_id,
      [&](const RosterNode& a, const RosterNode& b) {
        return a.key == b.key && after.ProcessOf(a).name == before.ProcessOf(b).name;
      },
      diff.added_nodes);
  return diff;
}

}  // namespace skerry
