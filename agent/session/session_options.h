// What a session machine is told once: who it is, what it may use, and the few things it cannot do
// itself because they need keys, files or a parser.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/session/upload_store.h"
#include "common/base/clock.h"
#include "common/base/strong_id.h"
#include "common/config/agent_config.h"
#include "common/config/job_config.h"
#include "common/privacy/spending.h"
#include "common/protocol/limits.h"
#include "common/secagg/session_roster.h"

namespace skerry {

struct SessionOptions {
  ProcessName process;
  std::vector<NodeId> nodes;                 // hosted here, without repeats, at least one
  std::string software;                      // free text for the coordinator's log
  bool ends_with_job = false;                // --once: finish with the first job's end
  size_t workers = 1;                        // nodes trained at once
  uint64_t upload_memory_bytes = 256 << 20;  // finished uploads beyond this go to the spool
  SitePolicyConfig policy;
  std::optional<uint32_t> roster_nodes;  // in the site's own copy of the roster, if it has one
  Spending spent{};                      // what the site's ledger says; the machine goes on from it

  // Uploads up to so many bytes travel beside their offer.
  uint64_t inline_upload_bytes_max = protocol::kInlineUploadBytesMax;
  uint64_t model_window_bytes = 1 << 20;  // of a model on the way at once
  // What is not answered for so long is said again. Links are ordered and reliable, so this only
  // repairs what a peer has lost.
  Duration resend_after = std::chrono::seconds(5);
  Duration progress_interval = std::chrono::seconds(1);
  // So often the coordinator is asked whether it is there; a link over which nothing at all came
  // while it was asked so many times is begun anew. Counted and not timed, because a process that
  // was stopped for long has asked once.
  Duration ping_interval = std::chrono::seconds(10);
  int unanswered_pings_max = 6;
};

// What a node signs to prove who it is.
struct NodeClaim {
  std::span<const uint8_t> nonce;
  std::string run_id;
  uint32_t version = 0;
  NodeId node;
  ProcessName process;
};

// All are set, are called from the machine's thread and return at once.
struct SessionFunctions {
  // protocol::kSignatureBytes, by the node's key.
  std::function<std::string(const NodeClaim&)> sign_join;
  std::function<absl::StatusOr<JobConfig>(const std::string& job_yaml)> parse_job;
  std::function<std::array<uint8_t, protocol::kSha256Bytes>(std::span<const uint8_t>)> sha256;
  UploadSpool* spool = nullptr;  // outlives the machine
  // For jobs with secure aggregation. `identity_of` knows the site's own copy of the roster only;
  // `sign` signs for a hosted node.
  IdentityOf identity_of{};
  std::function<Ed25519Signature(const NodeId&, std::span<const uint8_t>)> sign{};
  const SecAggCrypto* crypto = nullptr;  // outlives the machine
  RandomBits* random = nullptr;          // outlives the machine
};

}  // namespace skerry
