// What `skerry-coordinator keys new|roster|revoke` does. The command line is parsed elsewhere.
//
// A running coordinator reads the roster file again when it changes, so adding and revoking need no
// restart. Each change is one atomic replacement of the file; two commands at the same moment are
// not merged, the later one wins.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/crypto/curve_key.h"
#include "common/crypto/random_bits.h"
#include "common/crypto/sha256.h"

namespace skerry {

// keys new coordinator --out DIR
struct NewCoordinatorResult {
  std::string key_path;
  std::string public_path;
  CurvePublicKey public_key;
};
absl::StatusOr<NewCoordinatorResult> NewCoordinatorKeys(const std::string& folder,
                                                        RandomBits& random);

// keys new process NAME --nodes a,b,c --out DIR
struct NewProcessOptions {
  std::string process;
  std::vector<std::string> nodes;  // at least one, all different
  std::string folder;
};
struct NewProcessResult {
  std::string folder;            // stays with the process
  std::string roster_part_path;  // goes to the coordinator's operator; public
};
absl::StatusOr<NewProcessResult> NewProcessKeys(const NewProcessOptions& options,
                                                RandomBits& random);

// How a roster file was changed.
struct RosterChange {
  std::vector<std::string> processes;  // added or removed; sorted
  std::vector<std::string> nodes;
  size_t process_count = 0;  // of the new roster
  size_t node_count = 0;
  Sha256Digest hash{};
};

// keys roster --add FILE.part... ROSTER. Creates the roster if there is none. Its text stays as it
// is and the parts' lines are put after it. Nothing changes if the result is no valid roster.
struct AddToRosterOptions {
  std::vector<std::string> part_paths;
  std::string roster_path;
};
absl::StatusOr<RosterChange> AddToRoster(const AddToRosterOptions& options);

// keys revoke ROSTER NAME... Removes nodes, and processes with all their nodes. A name that is both
// is told apart as node:NAME or process:NAME. Nothing changes if a name is unknown.
struct RevokeOptions {
  std::string roster_path;
  std::vector<std::string> names;
};
absl::StatusOr<RosterChange> Revoke(const RevokeOptions& options);

// For people, several lines.
std::string Describe(const NewCoordinatorResult& result);
std::string Describe(const NewProcessResult& result);
// `verb` is what happened: "added" or "removed".
std::string Describe(const RosterChange& change, const std::string& verb);

}  // namespace skerry
