// Who may connect and join, as membership needs to know it: the roster and the check of signatures.
// The coordinator's is made from the roster file; tests use one whose proofs cost nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/strong_id.h"
#include "common/identity/join_proof.h"
#include "skerry.pb.h"

namespace skerry {

// One version of the roster; never changes. Used from one thread.
class RosterAuthority {
 public:
  virtual ~RosterAuthority() = default;

  // All nodes, sorted.
  virtual const std::vector<NodeId>& nodes() const = 0;
  // SHA-256 of the canonical roster: 32 bytes.
  virtual std::string hash() const = 0;
  // Everything the roster says of a process or node (its key, where it runs), in any fixed form;
  // none if it does not name it. Compared between two versions to see who was revoked.
  virtual std::optional<std::string> ProcessEntry(const ProcessName& process) const = 0;
  virtual std::optional<std::string> NodeEntry(const NodeId& node) const = 0;
  // NOT_IN_ROSTER, WRONG_PROCESS or BAD_SIGNATURE; unspecified if `signature` proves the claim.
  virtual proto::RejectReason Judge(const JoinClaim& claim, std::string_view signature) const = 0;
};

}  // namespace skerry
