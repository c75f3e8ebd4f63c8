#include "agent/shell/run_command.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/shell/agent_shell.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/version.h"
#include "common/config/address.h"
#include "common/config/job_loader.h"
#include "common/config/secagg_rules.h"
#include "common/crypto/hex.h"
#include "common/crypto/random_bits.h"
#include "common/crypto/secret_bytes.h"
#include "common/crypto/self_test.h"
#include "common/crypto/sha256.h"
#include "common/identity/join_proof.h"
#include "common/identity/key_files.h"
#include "common/identity/roster.h"
#include "common/identity/z85.h"
#include "common/ml/compute.h"
#include "common/privacy/ledger.h"
#include "common/protocol/limits.h"
#include "common/secagg/secagg_crypto.h"
#include "common/transport/stop_signal.h"

namespace skerry {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr std::string_view kLedgerName = "privacy-ledger.jsonl";

// The nodes to host and where their data comes from. Every one must have its key.
absl::StatusOr<std::vector<NodeSource>> NodesToHost(const AgentRunOptions& options,
                                                    const ProcessKeys& keys) {
  std::vector<NodeSource> nodes;
  if (options.virtual_nodes.has_value()) {
    const int64_t count = options.virtual_nodes->last - options.virtual_nodes->first + 1;
    if (static_cast<int64_t>(keys.nodes.size()) != count) {
      return absl::InvalidArgumentError(
          fmt::format("{}: holds the keys of {} nodes, expected one for each of {} virtual nodes",
                      options.config.identity.keys, keys.nodes.size(), count));
    }
    for (int64_t i = 0; i < count; ++i) {
      nodes.push_back({keys.nodes[static_cast<size_t>(i)].id,
                       {},
                       static_cast<uint32_t>(options.virtual_nodes->first + i)});
    }
    return nodes;
  }
  for (const HostedNodeConfig& node : options.config.nodes) {
    const bool has_key = std::any_of(keys.nodes.begin(), keys.nodes.end(),
                                     [&](const NodeKey& key) { return key.id.value() == node.id; });
    if (!has_key) {
      return absl::InvalidArgumentError(
          fmt::format("{}: holds no key for node {}; make the folder with `skerry-coordinator keys "
                      "new process`",
                      options.config.identity.keys, node.id));
    }
    nodes.push_back({NodeId(node.id), node.data, std::nullopt});
  }
  return nodes;
}

// Of a hosted node; NodesToHost has seen that there is one.
const Ed25519SecretKey& KeyOf(const NodeId& node, const ProcessKeys& keys) {
  const auto key = std::find_if(keys.nodes.begin(), keys.nodes.end(),
                                [&](const NodeKey& candidate) { return candidate.id == node; });
  SKERRY_ASSERT(key != keys.nodes.end());
  return key->key;
}

absl::StatusOr<DealerEndpoint> Dial(const AgentConfig& config, const ProcessKeys& keys) {
  DealerOptions options;
  options.address = config.coordinator.address;
  if (IsTcpAddress(options.address)) {
    if (!config.coordinator.public_key.has_value()) {
      return absl::InvalidArgumentError("tcp needs the coordinator's public key");
    }
    options.keys =
        DealerKeys{Z85Encode(keys.curve.public_key().bytes()),
                   Z85Encode(keys.curve.secret().bytes()), *config.coordinator.public_key};
  }
  options.link.envelope_bytes_max = protocol::kEnvelopeBytesMax;
  options.link.raw_bytes_max = protocol::kRawFrameBytesMax;
  return DealerEndpoint::Create(std::move(options), Rng(SystemRandom().NextU64()));
}

// The site's own copy of the roster, or null if it has none. It must be the one that was checked
// and must name the nodes hosted here, or the others would take them for strangers.
absl::StatusOr<std::shared_ptr<const Roster>> PinnedRoster(const IdentityConfig& identity,
                                                           const std::vector<NodeSource>& hosted,
                                                           const ProcessKeys& keys) {
  if (!identity.roster.has_value()) return nullptr;
  SKERRY_ASSIGN_OR_RETURN(Roster roster, Roster::Load(*identity.roster));
  const std::string hash = HexOf(roster.hash());
  if (identity.roster_sha256.has_value() && *identity.roster_sha256 != hash) {
    return absl::InvalidArgumentError(
        fmt::format("{}: the roster's SHA-256 is {}, identity.roster_sha256 says {}: check who was "
                    "added or removed before changing it",
                    *identity.roster, hash, *identity.roster_sha256));
  }
  for (const NodeSource& node : hosted) {
    const RosterNode* entry = roster.FindNode(node.id);
    if (entry == nullptr || entry->key != KeyOf(node.id, keys).public_key()) {
      return absl::InvalidArgumentError(
          fmt::format("{}: {} node {}: add this process's roster.part", *identity.roster,
                      entry == nullptr ? "does not name" : "has another key for", node.id.value()));
    }
  }
  return std::make_shared<const Roster>(std::move(roster));
}

SessionFunctions FunctionsOf(std::shared_ptr<const ProcessKeys> keys,
                             std::shared_ptr<const Roster> roster, UploadSpool* spool) {
  SessionFunctions functions;
  functions.sign_join = [keys](const NodeClaim& claim) {
    const Ed25519Signature signature =
        SignJoin({claim.nonce, RunId(claim.run_id), claim.version, claim.node, claim.process},
                 KeyOf(claim.node, *keys));
    return std::string(signature.begin(), signature.end());
  };
  functions.parse_job = [](const std::string& yaml) { return ParseJob(yaml, "job"); };
  functions.sha256 = [](std::span<const uint8_t> bytes) { return Sha256Of(bytes); };
  functions.spool = spool;
  functions.identity_of = [roster](const NodeId& node) -> std::optional<Ed25519PublicKey> {
    const RosterNode* entry = roster == nullptr ? nullptr : roster->FindNode(node);
    if (entry == nullptr) return std::nullopt;
    return entry->key;
  };
  functions.sign = [keys](const NodeId& node, std::span<const uint8_t> message) {
    return KeyOf(node, *keys).Sign(message);
  };
  functions.crypto = &StandardSecAggCrypto();
  functions.random = &SystemRandom();
  return functions;
}

void PrintRelaxations(const SitePolicyConfig& policy, std::optional<uint32_t> roster_nodes) {
  const SitePolicyConfig strict;
  if (policy.allow_plain) {
    LogWarning("policy: jobs without secure aggregation are allowed (policy.allow_plain)");
  }
  if (policy.cohort_min < strict.cohort_min) {
    LogWarning(
        fmt::format("policy: cohorts of {} nodes are allowed, {} is the default "
                    "(policy.cohort_min)",
                    policy.cohort_min, strict.cohort_min));
  }
  if (policy.survivors_min < strict.survivors_min) {
    LogWarning(
        fmt::format("policy: sums of {} updates are opened, {} is the default "
                    "(policy.survivors_min)",
                    policy.survivors_min, strict.survivors_min));
  }
  const int64_t colluders = DefaultColluders(roster_nodes.value_or(0));
  if (policy.colluders_min.value_or(colluders) < colluders) {
    LogWarning(fmt::format(
        "policy: jobs that bear {} conspiring nodes are allowed, {} is the default for a "
        "roster of {} (policy.colluders_min)",
        *policy.colluders_min, colluders, *roster_nodes));
  }
}

std::string LimitText(std::optional<double> limit) {
  return limit.has_value() ? fmt::format("{:g}", *limit) : "without limit";
}

void PrintPrivacyRelaxations(const SitePolicyConfig& policy) {
  const SitePolicyConfig strict;
  if (policy.allow_coordinator_noise) {
    LogWarning(
        "policy: the coordinator is trusted to add the noise of private jobs "
        "(policy.allow_coordinator_noise)");
  }
  if (policy.epsilon_total.value_or(HUGE_VAL) > *strict.epsilon_total) {
    LogWarning(
        fmt::format("policy: all jobs on one data.id may spend an epsilon of {}, {:g} is the "
                    "default (policy.epsilon_total)",
                    LimitText(policy.epsilon_total), *strict.epsilon_total));
  }
  if (policy.delta_total > strict.delta_total) {
    LogWarning(
        fmt::format("policy: a delta of {:g} is allowed, {:g} is the default "
                    "(policy.delta_total)",
                    policy.delta_total, strict.delta_total));
  }
}

// What was spent before, and the right to spend more: nobody else has the file open now.
absl::StatusOr<Ledger> OpenLedger(const AgentConfig& config, bool is_quiet) {
  const std::string path =
      config.ledger.value_or(config.identity.keys + "/" + std::string(kLedgerName));
  SKERRY_ASSIGN_OR_RETURN(Ledger ledger, Ledger::Open(path));
  if (!ledger.warning().empty()) LogWarning(ledger.warning());
  if (!is_quiet) {
    LogInfo(fmt::format("privacy ledger {}: {} releases", path, ledger.spending().charge_count()));
  }
  return ledger;
}

absl::StatusOr<int> RunAgent(const AgentRunOptions& options) {
  const AgentConfig& config = options.config;
  SKERRY_RETURN_IF_ERROR(CheckDevice(config.device));
  SKERRY_ASSIGN_OR_RETURN(ProcessKeys process_keys, ReadProcessKeys(config.identity.keys));
  const auto keys = std::make_shared<const ProcessKeys>(std::move(process_keys));
  SKERRY_ASSIGN_OR_RETURN(std::vector<NodeSource> nodes, NodesToHost(options, *keys));
  SKERRY_ASSIGN_OR_RETURN(const std::shared_ptr<const Roster> roster,
                          PinnedRoster(config.identity, nodes, *keys));
  SKERRY_ASSIGN_OR_RETURN(Ledger ledger, OpenLedger(config, options.is_quiet));
  SKERRY_ASSIGN_OR_RETURN(DealerEndpoint dealer, Dial(config, *keys));
  CatchStopSignals(dealer.wakeup());

  SessionOptions session;
  if (roster != nullptr) session.roster_nodes = static_cast<uint32_t>(roster->nodes().size());
  if (!options.is_quiet) {
    PrintRelaxations(config.policy, session.roster_nodes);
    PrintPrivacyRelaxations(config.policy);
  }
  session.process = ProcessName(config.identity.process);
  for (const NodeSource& node : nodes) session.nodes.push_back(node.id);
  session.software = fmt::format("skerry-agent {}", kVersion);
  session.ends_with_job = options.ends_with_job;
  session.workers = static_cast<size_t>(config.resources.workers);
  session.upload_memory_bytes = static_cast<uint64_t>(config.resources.upload_memory_mb) << 20;
  session.policy = config.policy;
  session.spent = ledger.spending();

  FileSpool spool(config.resources.spool);
  auto pool = std::make_unique<TrainingPool>(
      TrainingPool::Options{session.workers,
                            {config.device, static_cast<int>(config.resources.threads_per_worker)},
                            std::move(nodes)},
      [wakeup = dealer.wakeup()] { wakeup.Notify(); });
  AgentShell shell(SessionMachine(std::move(session), FunctionsOf(keys, roster, &spool),
                                  Rng(SystemRandom().NextU64())),
                   std::move(ledger), std::move(dealer), std::move(pool),
                   EventLog(options.is_quiet), StopFlag());
  return shell.Run();
}

}  // namespace

absl::StatusOr<VirtualNodes> ParseVirtualNodes(const std::string& text) {
  VirtualNodes nodes;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, nodes.first);
  bool is_valid = first.ec == std::errc() && first.ptr != end && *first.ptr == '-';
  if (is_valid) {
    const auto last = std::from_chars(first.ptr + 1, end, nodes.last);
    is_valid = last.ec == std::errc() && last.ptr == end;
  }
  if (!is_valid || nodes.first < 0 || nodes.last < nodes.first) {
    return absl::InvalidArgumentError(
        fmt::format("--virtual-nodes must be FIRST-LAST, for example 0-99, got \"{}\"", text));
  }
  return nodes;
}

int RunCommand(const AgentRunOptions& options) {
  KeepMemoryPrivate();
  if (const absl::Status tested = SelfTestCrypto(); !tested.ok()) {
    LogError(std::string(tested.message()));
    return kExitFailed;
  }
  const absl::StatusOr<int> exit_code = RunAgent(options);
  if (exit_code.ok()) return *exit_code;
  LogError(std::string(exit_code.status().message()));
  return kExitUsage;
}

}  // namespace skerry
