#include "coordinator/keys/keys_command.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/crypto/hex.h"
#include "common/identity/key_files.h"
#include "common/identity/roster.h"
#include "common/identity/z85.h"

namespace skerry {
namespace {

absl::Status CheckName(std::string_view what, const std::string& name) {
  if (IsValidName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} must be 1 to 64 characters of [A-Za-z0-9._-], got \"{}\"", what, name));
}

absl::StatusOr<std::string> ReadRosterOrNothing(const std::string& path) {
  auto text = ReadFile(path, kRosterBytesMax);
  if (absl::IsNotFound(text.status())) return std::string();
  return text;
}

// Calls `visit(line with its newline, words)` for each line.
template <typename Visit>
void ForEachLine(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, end);
    visit(line, RosterWords(line.substr(0, line.find('\n'))));
    text.remove_prefix(end);
  }
}

void Note(std::vector<std::string>& names, std::string_view name) { names.emplace_back(name); }

// Sorts the names and fills in what the new roster looks like.
RosterChange Finish(RosterChange change, const Roster& roster) {
  std::sort(change.processes.begin(), change.processes.end());
  std::sort(change.nodes.begin(), change.nodes.end());
  change.process_count = roster.processes().size();
  change.node_count = roster.nodes().size();
  change.hash = roster.hash();
  return change;
}

// What a revocation takes out of a roster.
struct Revocation {
  std::set<std::string, std::less<>> processes;
  std::set<std::string, std::less<>> nodes;
};

absl::Status AddName(const Roster& roster, const std::string& name, Revocation& revocation) {
  constexpr std::string_view kNodePrefix = "node:";
  constexpr std::string_view kProcessPrefix = "process:";
  // A colon is no part of a name.
  const bool is_only_node = name.starts_with(kNodePrefix);
  const bool is_only_process = name.starts_with(kProcessPrefix);
  const std::string plain = is_only_node      ? name.substr(kNodePrefix.size())
                            : is_only_process ? name.substr(kProcessPrefix.size())
                                              : name;
  const bool is_node = !is_only_process && roster.FindNode(NodeId(plain)) != nullptr;
  const bool is_process = !is_only_node && roster.FindProcess(ProcessName(plain)) != nullptr;
  if (is_node && is_process) {
    return absl::InvalidArgumentError(
        fmt::format("\"{0}\" is a node and a process: say node:{0} or process:{0}", plain));
  }
  if (!is_node && !is_process) {
    return absl::NotFoundError(fmt::format("\"{}\" is not in the roster", name));
  }
  (is_node ? revocation.nodes : revocation.processes).insert(plain);
  return absl::OkStatus();
}

absl::StatusOr<Revocation> Resolve(const Roster& roster, const std::vector<std::string>& names) {
  Revocation revocation;
  std::string problems;
  absl::StatusCode code = absl::StatusCode::kOk;
  for (const std::string& name : names) {
    const absl::Status status = AddName(roster, name, revocation);
    if (status.ok()) continue;
    code = status.code();
    if (!problems.empty()) problems += '\n';
    problems += std::string(status.message());
  }
  if (!problems.empty()) return absl::Status(code, problems);
  for (const RosterNode& node : roster.nodes()) {
    if (revocation.processes.contains(roster.ProcessOf(node).name.value())) {
      revocation.nodes.insert(node.id.value());
    }
  }
  return revocation;
}

}  // namespace

absl::StatusOr<NewCoordinatorResult> NewCoordinatorKeys(const std::string& folder,
                                                        RandomBits& random) {
  const CurveKeyPair keys = CurveKeyPair::Generate(random);
  SKERRY_RETURN_IF_ERROR(WriteCoordinatorKeys(folder, keys));
  return NewCoordinatorResult{CoordinatorKeyPath(folder), CoordinatorPublicPath(folder),
                              keys.public_key()};
}

absl::StatusOr<NewProcessResult> NewProcessKeys(const NewProcessOptions& options,
                                                RandomBits& random) {
  SKERRY_RETURN_IF_ERROR(CheckName("process", options.process));
  if (options.nodes.empty()) {
    return absl::InvalidArgumentError("a process must host at least one node: --nodes a,b,c");
  }
  std::set<std::string> seen;
  for (const std::string& node : options.nodes) {
    SKERRY_RETURN_IF_ERROR(CheckName("node", node));
    if (!seen.insert(node).second) {
      return absl::InvalidArgumentError(fmt::format("node {} is named twice", node));
    }
  }
  ProcessKeys keys{CurveKeyPair::Generate(random), {}};
  keys.nodes.reserve(options.nodes.size());
  for (const std::string& node : options.nodes) {
    keys.nodes.push_back({NodeId(node), Ed25519SecretKey::Generate(random)});
  }
  SKERRY_RETURN_IF_ERROR(WriteProcessKeys(options.folder, ProcessName(options.process), keys));
  return NewProcessResult{options.folder, RosterPartPath(options.folder)};
}

absl::StatusOr<RosterChange> AddToRoster(const AddToRosterOptions& options) {
  SKERRY_ASSIGN_OR_RETURN(const std::string before, ReadRosterOrNothing(options.roster_path));
  std::vector<std::string> parts;
  for (const std::string& path : options.part_paths) {
    SKERRY_ASSIGN_OR_RETURN(std::string part, ReadFile(path, kRosterBytesMax));
    parts.push_back(std::move(part));
  }
  // All together, so that a clash is reported with both places.
  std::vector<RosterSource> sources = {{options.roster_path, before}};
  for (size_t i = 0; i < parts.size(); ++i) sources.push_back({options.part_paths[i], parts[i]});
  SKERRY_ASSIGN_OR_RETURN(const Roster roster, Roster::Parse(sources));

  RosterChange change;
  std::string after = before;
  if (!after.empty() && after.back() != '\n') after += '\n';
  for (const std::string& part : parts) {
    ForEachLine(part, [&](std::string_view, const std::vector<std::string_view>& words) {
      if (words.empty()) return;
      after += fmt::format("{}\n", fmt::join(words, " "));
      Note(words[0] == "process" ? change.processes : change.nodes, words[1]);
    });
  }
  if (after.size() > kRosterBytesMax) {
    return absl::ResourceExhaustedError(
        fmt::format("the roster would be larger than {} bytes", kRosterBytesMax));
  }
  SKERRY_RETURN_IF_ERROR(WriteFileAtomically(options.roster_path, after));
  return Finish(std::move(change), roster);
}

absl::StatusOr<RosterChange> Revoke(const RevokeOptions& options) {
  SKERRY_ASSIGN_OR_RETURN(const std::string before, ReadFile(options.roster_path, kRosterBytesMax));
  const RosterSource source{options.roster_path, before};
  SKERRY_ASSIGN_OR_RETURN(const Roster roster, Roster::Parse({&source, 1}));
  SKERRY_ASSIGN_OR_RETURN(const Revocation revocation, Resolve(roster, options.names));

  RosterChange change;
  std::string after;
  ForEachLine(before, [&](std::string_view line, const std::vector<std::string_view>& words) {
    const bool is_process = !words.empty() && words[0] == "process";
    const bool is_removed =
        !words.empty() && (is_process ? revocation.processes : revocation.nodes).contains(words[1]);
    if (!is_removed) {
      after += line;
      return;
    }
    Note(is_process ? change.processes : change.nodes, words[1]);
  });
  const RosterSource source_after{options.roster_path, after};
  SKERRY_ASSIGN_OR_RETURN(const Roster roster_after, Roster::Parse({&source_after, 1}));
  SKERRY_RETURN_IF_ERROR(WriteFileAtomically(options.roster_path, after));
  return Finish(std::move(change), roster_after);
}

std::string Describe(const NewCoordinatorResult& result) {
  return fmt::format(
      "secret key    {}  (keep it on this machine)\n"
      "public key    {}  (agents put it under coordinator.public_key)\n"
      "              {}\n",
      result.key_path, result.public_path, Z85Encode(result.public_key.bytes()));
}

std::string Describe(const NewProcessResult& result) {
  return fmt::format(
      "key folder    {}  (identity.keys of the agent; keep it on its machine)\n"
      "roster part   {}  (send it to the coordinator's operator; it holds no secret)\n",
      result.folder, result.roster_part_path);
}

std::string Describe(const RosterChange& change, const std::string& verb) {
  std::string text;
  for (const std::string& name : change.processes)
    text += fmt::format("{} process {}\n", verb, name);
  for (const std::string& name : change.nodes) text += fmt::format("{} node {}\n", verb, name);
  return text + fmt::format("roster: {} nodes in {} processes, SHA-256 {}\n", change.node_count,
                            change.process_count, HexOf(change.hash));
}

}  // namespace skerry
