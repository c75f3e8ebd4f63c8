#include "agent/shell/run_command.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <memory>
#include <optional>
#include <signal.h>
#include <utility>

#include <fmt/format.h>

#include "agent/shell/agent_shell.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/version.h"
#include "common/config/address.h"
#include "common/config/job_loader.h"
#include "common/crypto/random_bits.h"
#include "common/crypto/self_test.h"
#include "common/crypto/sha256.h"
#include "common/identity/join_proof.h"
#include "common/identity/key_files.h"
#include "common/identity/z85.h"
#include "common/ml/compute.h"
#include "common/protocol/limits.h"

namespace skerry {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

std::atomic<bool> g_is_stopping{false};
std::optional<Wakeup> g_wakeup;

void RequestStop(int) {
  g_is_stopping = true;
  if (g_wakeup.has_value()) g_wakeup->Notify();
}

void CatchSignals(Wakeup wakeup) {
  g_wakeup = std::move(wakeup);
  struct sigaction action = {};
  action.sa_handler = RequestStop;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second signal ends the process at once
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

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

SessionFunctions FunctionsOf(std::shared_ptr<const ProcessKeys> keys, UploadSpool* spool) {
  SessionFunctions functions;
  functions.sign_join = [keys](const NodeClaim& claim) {
    const auto key =
        std::find_if(keys->nodes.begin(), keys->nodes.end(),
                     [&](const NodeKey& candidate) { return candidate.id == claim.node; });
    SKERRY_ASSERT(key != keys->nodes.end());  // NodesToHost has looked
    const Ed25519Signature signature = SignJoin(
        {claim.nonce, RunId(claim.run_id), claim.version, claim.node, claim.process}, key->key);
    return std::string(signature.begin(), signature.end());
  };
  functions.parse_job = [](const std::string& yaml) { return ParseJob(yaml, "job"); };
  functions.sha256 = [](std::span<const uint8_t> bytes) { return Sha256Of(bytes); };
  functions.spool = spool;
  return functions;
}

void PrintRelaxations(const SitePolicyConfig& policy) {
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
}

absl::StatusOr<int> RunAgent(const AgentRunOptions& options) {
  const AgentConfig& config = options.config;
  SKERRY_RETURN_IF_ERROR(CheckDevice(config.device));
  SKERRY_ASSIGN_OR_RETURN(ProcessKeys process_keys, ReadProcessKeys(config.identity.keys));
  const auto keys = std::make_shared<const ProcessKeys>(std::move(process_keys));
  SKERRY_ASSIGN_OR_RETURN(std::vector<NodeSource> nodes, NodesToHost(options, *keys));
  SKERRY_ASSIGN_OR_RETURN(DealerEndpoint dealer, Dial(config, *keys));
  CatchSignals(dealer.wakeup());
  if (!options.is_quiet) PrintRelaxations(config.policy);

  SessionOptions session;
  session.process = ProcessName(config.identity.process);
  for (const NodeSource& node : nodes) session.nodes.push_back(node.id);
  session.software = fmt::format("skerry-agent {}", kVersion);
  session.ends_with_job = options.ends_with_job;
  session.workers = static_cast<size_t>(config.resources.workers);
  session.upload_memory_bytes = static_cast<uint64_t>(config.resources.upload_memory_mb) << 20;
  session.policy = config.policy;

  FileSpool spool(config.resources.spool);
  auto pool = std::make_unique<TrainingPool>(
      TrainingPool::Options{session.workers,
                            {config.device, static_cast<int>(config.resources.threads_per_worker)},
                            std::move(nodes)},
      [wakeup = dealer.wakeup()] { wakeup.Notify(); });
  AgentShell shell(
      SessionMachine(std::move(session), FunctionsOf(keys, &spool), Rng(SystemRandom().NextU64())),
      std::move(dealer), std::move(pool), EventLog(options.is_quiet), g_is_stopping);
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
