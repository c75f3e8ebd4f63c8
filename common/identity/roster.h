// Who may take part: agent processes with their CURVE keys, and nodes with their Ed25519 keys and
// the process that hosts each. A text file:
//
//   # a comment, on a line of its own (Z85 keys may contain '#')
//   process NAME CURVE_PUBLIC_KEY        40 characters of Z85
//   node ID ED25519_PUBLIC_KEY PROCESS   64 hexadecimal digits
//
// in any order. The hash that both sides compare is the SHA-256 of the canonical text: these lines
// with single spaces, sorted bytewise, keys as written by Skerry (lower-case hexadecimal).
//
// A Roster does not change after it is parsed; a new file gives a new one (DiffRosters says what to
// do about it). It holds everything sorted in flat arrays: about 100 bytes a node.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/crypto/curve_key.h"
#include "common/crypto/sha256.h"
#include "common/crypto/signature.h"

namespace skerry {

// A million nodes with the longest names fit.
inline constexpr size_t kRosterBytesMax = 256 << 20;
inline constexpr size_t kRosterNodesMax = 1'000'000;

struct RosterProcess {
  ProcessName name;
  CurvePublicKey key;
};

struct RosterNode {
  NodeId id;
  Ed25519PublicKey key;
  uint32_t process_index = 0;  // in Roster::processes()
};

// Text and the name under which messages speak of it.
struct RosterSource {
  std::string name;
  std::string_view text;
};

class Roster {
 public:
  // Nobody.
  Roster();
  // All sources together make one roster. Fails with kInvalidArgument and every error as
  // "name:line: ...", one a line: unknown words, malformed names or keys, a name or key used twice,
  // a node of an unknown process, more nodes than `node_count_max`.
  static absl::StatusOr<Roster> Parse(std::span<const RosterSource> sources,
                                      size_t node_count_max = kRosterNodesMax);
  static absl::StatusOr<Roster> Load(const std::string& path);

  std::span<const RosterProcess> processes() const { return processes_; }  // sorted by name
  std::span<const RosterNode> nodes() const { return nodes_; }             // sorted by id
  // Null if there is none; valid as long as the roster.
  const RosterProcess* FindProcess(const ProcessName& name) const;
  const RosterProcess* FindProcess(const CurvePublicKey& key) const;
  const RosterNode* FindNode(const NodeId& id) const;
  const RosterProcess& ProcessOf(const RosterNode& node) const {
    return processes_[node.process_index];
  }
  std::vector<NodeId> NodeIds() const;  // sorted

  std::string CanonicalText() const;
  const Sha256Digest& hash() const { return hash_; }

 private:
  std::vector<RosterProcess> processes_;
  std::vector<RosterNode> nodes_;
  std::vector<uint32_t> processes_by_key_;
  Sha256Digest hash_{};
};

// One canonical line each, with its newline.
std::string RosterLine(const RosterProcess& process);
std::string RosterLine(const RosterNode& node, const ProcessName& process);

// The words of a line; none for a blank line or a comment.
std::vector<std::string_view> RosterWords(std::string_view line);

// 1 to 64 characters of [A-Za-z0-9._-]: names of nodes and processes.
bool IsValidName(std::string_view name);

// Sorted. Something whose key changed, or a node that moved to another process, is removed and
// added. A changed process does not list its nodes: they leave with its connection.
struct RosterDiff {
  std::vector<ProcessName> removed_processes;
  std::vector<ProcessName> added_processes;
  std::vector<NodeId> removed_nodes;
  std::vector<NodeId> added_nodes;
};
RosterDiff DiffRosters(const Roster& before, const Roster& after);

}  // namespace skerry
