#include "coordinator/keys/throw_away_identities.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/identity/key_files.h"
#include "common/identity/roster.h"

namespace skerry {

NodeId VirtualNodeId(int64_t index, int64_t node_count) {
  SKERRY_ASSERT(index >= 0 && index < node_count);
  const size_t digits = std::max<size_t>(4, std::to_string(node_count - 1).size());
  return NodeId(fmt::format("node-{:0{}}", index, digits));
}

absl::StatusOr<ThrowAwayIdentities> MakeThrowAwayIdentities(const ThrowAwayOptions& options,
                                                            RandomBits& random) {
  if (options.node_count < 1 || options.node_count > static_cast<int64_t>(kRosterNodesMax)) {
    return absl::InvalidArgumentError(
        fmt::format("nodes must be 1..{}, got {}", kRosterNodesMax, options.node_count));
  }
  if (options.process_count < 1 || options.process_count > options.node_count) {
    return absl::InvalidArgumentError(fmt::format("processes must be 1..{} (the nodes), got {}",
                                                  options.node_count, options.process_count));
  }
  const CurveKeyPair coordinator = CurveKeyPair::Generate(random);
  SKERRY_RETURN_IF_ERROR(WriteCoordinatorKeys(options.folder, coordinator));

  ThrowAwayIdentities made{.coordinator_key_path = CoordinatorKeyPath(options.folder),
                           .coordinator_public_key = coordinator.public_key(),
                           .roster_path = options.folder + "/roster.txt",
                           .processes = {}};
  std::string roster;
  for (int64_t p = 0; p < options.process_count; ++p) {
    const int64_t first = p * options.node_count / options.process_count;
    const int64_t end = (p + 1) * options.node_count / options.process_count;
    const ProcessName name(fmt::format("process-{}", p));
    ThrowAwayProcess process{name, fmt::format("{}/{}", options.folder, name.value()), first,
                             end - first};
    ProcessKeys keys{CurveKeyPair::Generate(random), {}};
    keys.nodes.reserve(static_cast<size_t>(process.node_count));
    for (int64_t node = first; node < end; ++node) {
      keys.nodes.push_back(
          {VirtualNodeId(node, options.node_count), Ed25519SecretKey::Generate(random)});
    }
    SKERRY_RETURN_IF_ERROR(WriteProcessKeys(process.key_folder, name, keys));
    roster += RosterPart(name, keys);
    made.processes.push_back(std::move(process));
  }
  SKERRY_RETURN_IF_ERROR(WriteFileAtomically(made.roster_path, roster));
  return made;
}

}  // namespace skerry
