// Secret keys on disk. Files are text, mode 0600; one that its group or others may read or write is
// refused, and none is ever overwritten.
//
//   coordinator: coordinator.key  "public Z85", "secret Z85", a line each
//                coordinator.pub  the public key's Z85, for agents' configuration
//   process:     curve.key        like coordinator.key
//                nodes.keys       a line for each hosted node: ID, seed of its Ed25519 key in hex
//                roster.part      the lines for the coordinator's roster; public
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/crypto/curve_key.h"
#include "common/crypto/signature.h"

namespace skerry {

struct NodeKey {
  NodeId id;
  Ed25519SecretKey key;
};

// What an agent process holds.
struct ProcessKeys {
  CurveKeyPair curve;
  std::vector<NodeKey> nodes;
};

std::string CoordinatorKeyPath(const std::string& folder);
std::string CoordinatorPublicPath(const std::string& folder);
std::string RosterPartPath(const std::string& folder);

// Creates `folder` (0700) if needed. Fails with kAlreadyExists, before anything is written, if the
// folder holds such keys.
absl::Status WriteCoordinatorKeys(const std::string& folder, const CurveKeyPair& keys);
absl::Status WriteProcessKeys(const std::string& folder, const ProcessName& process,
                              const ProcessKeys& keys);

// Fail with kPermissionDenied if others may read the file, and with kInvalidArgument and file:line
// if it is malformed. Messages never contain key text.
absl::StatusOr<CurveKeyPair> ReadCurveKeyFile(const std::string& path);
absl::StatusOr<ProcessKeys> ReadProcessKeys(const std::string& folder);
absl::StatusOr<CurvePublicKey> ReadCurvePublicFile(const std::string& path);

// The lines of roster.part: the process, then its nodes.
std::string RosterPart(const ProcessName& process, const ProcessKeys& keys);

}  // namespace skerry
