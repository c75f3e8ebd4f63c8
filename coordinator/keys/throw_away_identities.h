// Identities for a simulation: made in a moment, used for one run, thrown away with its folder. The
// same files as for a real deployment, so a simulation runs the real join.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/crypto/curve_key.h"
#include "common/crypto/random_bits.h"

namespace skerry {

struct ThrowAwayOptions {
  std::string folder;         // may exist, without such files
  int64_t node_count = 0;     // 1..kRosterNodesMax
  int64_t process_count = 0;  // 1..node_count
};

// Hosts nodes first_node .. first_node + node_count - 1.
struct ThrowAwayProcess {
  ProcessName name;  // process-0, process-1, ...
  std::string key_folder;
  int64_t first_node = 0;
  int64_t node_count = 0;
};

struct ThrowAwayIdentities {
  std::string coordinator_key_path;
  CurvePublicKey coordinator_public_key;
  std::string roster_path;
  std::vector<ThrowAwayProcess> processes;
};

// node-0000, node-0001, ...: as many digits as the last one needs, four at least, so that names
// sort like numbers.
NodeId VirtualNodeId(int64_t index, int64_t node_count);

// Nodes are dealt to processes in contiguous, equal parts (sizes differ by one at most).
absl::StatusOr<ThrowAwayIdentities> MakeThrowAwayIdentities(const ThrowAwayOptions& options,
                                                            RandomBits& random);

}  // namespace skerry
