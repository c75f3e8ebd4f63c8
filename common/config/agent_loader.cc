#include "common/config/agent_loader.h"

#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>

#include "absl/strings/ascii.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/config/address.h"
#include "common/config/config_words.h"
#include "common/config/data_section.h"
#include "common/config/yaml_document.h"
#include "common/config/yaml_reader.h"

namespace skerry {
namespace {

constexpr size_t kPublicKeyBytes = 40;  // 32 bytes in Z85
constexpr size_t kSha256Digits = 64;
constexpr std::string_view kCudaPrefix = "cuda:";
constexpr int kCudaIndexMax = 127;
constexpr int64_t kNodesMax = 100'000;
constexpr double kEpsilonMax = 1000.0;
constexpr double kClipNormMax = 1e6;

// The alphabet of ZeroMQ RFC 32.
constexpr std::string_view kZ85Characters =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

std::optional<std::string> ReadRosterHash(SectionReader& section) {
  std::optional<std::string> hash = section.OptionalText("roster_sha256");
  if (!hash.has_value()) return std::nullopt;
  const bool is_hash = hash->size() == kSha256Digits &&
                       std::all_of(hash->begin(), hash->end(), absl::ascii_isxdigit);
  if (!is_hash) {
    section.Refuse("roster_sha256", fmt::format("must be {} hexadecimal digits, got \"{}\"",
                                                kSha256Digits, hash->substr(0, 100)));
  } else if (!section.HasValue("roster")) {
    section.Refuse("roster_sha256", "is the hash of identity.roster, which is missing");
  }
  absl::AsciiStrToLower(&*hash);
  return hash;
}

IdentityConfig ReadIdentity(SectionReader section) {
  section.Require({"keys"});
  IdentityConfig identity;
  identity.process = ReadName(section, "process");
  identity.keys = section.Text("keys", "");
  identity.roster = section.OptionalText("roster");
  identity.roster_sha256 = ReadRosterHash(section);
  section.Finish();
  return identity;
}

CoordinatorAddressConfig ReadCoordinator(SectionReader section) {
  section.Require({"address"});
  CoordinatorAddressConfig coordinator;
  coordinator.address = section.Text("address", "");
  coordinator.public_key = section.OptionalText("public_key");
  if (!coordinator.address.empty()) {
    const absl::Status address = CheckAddress(coordinator.address, AddressUse::kDial);
    if (!address.ok()) section.Refuse("address", std::string(address.message()));
  }
  const std::optional<std::string>& key = coordinator.public_key;
  if (key.has_value() && (key->size() != kPublicKeyBytes ||
                          key->find_first_not_of(kZ85Characters) != std::string::npos)) {
    section.Refuse("public_key",
                   fmt::format("must be {} Z85 characters, got {} characters{}", kPublicKeyBytes,
                               key->size(), key->size() == kPublicKeyBytes ? " not all Z85" : ""));
  }
  if (IsTcpAddress(coordinator.address) && !section.HasValue("public_key")) {
    section.Refuse("public_key",
                   "is missing: over TCP the agent must know the coordinator's key, as printed by "
                   "skerry-coordinator keys roster");
  }
  section.Finish();
  return coordinator;
}

std::vector<HostedNodeConfig> ReadNodes(SectionReader& top, ConfigDiagnostics& diagnostics) {
  std::vector<HostedNodeConfig> nodes;
  std::map<std::string, size_t> position_by_id;
  const std::vector<const YamlNode*> items = top.List("nodes");
  if (top.Has("nodes") && items.empty() && diagnostics.IsSound({"nodes"})) {
    top.Refuse("nodes", "must list at least one node");
  }
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string path = top.ItemPath("nodes", i);
    SectionReader section(*items[i], path, diagnostics);
    section.Require({"data"});
    HostedNodeConfig node;
    node.line = section.line();
    node.id = ReadName(section, "id");
    if (section.Has("data")) {
      node.data = ReadNodeData(section.Section("data"));
      CheckData(node.data, path + ".data", diagnostics);
    }
    const auto [first, is_new] = position_by_id.emplace(node.id, i);
    if (!is_new && !node.id.empty()) {
      section.Refuse("id", fmt::format("{} is also the id of {}: ids are unique", node.id,
                                       top.ItemPath("nodes", first->second)));
    }
    section.Finish();
    nodes.push_back(std::move(node));
  }
  return nodes;
}

bool IsDevice(std::string_view device) {
  if (device == "cpu") return true;
  if (!device.starts_with(kCudaPrefix)) return false;
  device.remove_prefix(kCudaPrefix.size());
  unsigned index = 0;
  const auto [end, error] = std::from_chars(device.data(), device.data() + device.size(), index);
  return error == std::errc() && end == device.data() + device.size() && index <= kCudaIndexMax;
}

ResourcesConfig ReadResources(SectionReader section) {
  ResourcesConfig resources;
  resources.workers = section.Integer("workers", resources.workers, {1, 1024});
  resources.threads_per_worker =
      section.Integer("threads_per_worker", resources.threads_per_worker, {1, 1024});
  resources.upload_memory_mb =
      section.Integer("upload_memory_mb", resources.upload_memory_mb, {0, 1 << 20});
  resources.spool = section.Text("spool", resources.spool);
  section.Finish();
  return resources;
}

// A limit that null lifts; absent is `fallback`.
std::optional<double> ReadLimit(SectionReader& section, std::string_view key,
                                std::optional<double> fallback, double max) {
  const std::optional<double> limit =
      section.OptionalNumber(key, {.min = 0, .max = max, .excludes_min = true});
  return section.Has(key) ? limit : fallback;
}

SitePolicyConfig ReadPolicy(SectionReader section) {
  SitePolicyConfig policy;
  policy.allow_plain = section.Flag("allow_plain", policy.allow_plain);
  policy.cohort_min = section.Integer("cohort_min", policy.cohort_min, {1, kNodesMax});
  policy.survivors_min = section.Integer("survivors_min", policy.survivors_min, {1, kNodesMax});
  if (section.Has("colluders_min")) {
    policy.colluders_min = section.Integer("colluders_min", 0, {0, kNodesMax});
  }
  policy.rounds_max = section.Integer("rounds_max", policy.rounds_max, {1, 1'000'000});
  policy.local_epochs_max = section.Integer("local_epochs_max", policy.local_epochs_max, {0, 1000});
  policy.models = section.Words("models", kPolicyModelWords);
  policy.require_privacy = section.Flag("require_privacy", policy.require_privacy);
  policy.allow_coordinator_noise =
      section.Flag("allow_coordinator_noise", policy.allow_coordinator_noise);
  policy.epsilon_max = ReadLimit(section, "epsilon_max", policy.epsilon_max, kEpsilonMax);
  policy.epsilon_total = ReadLimit(section, "epsilon_total", policy.epsilon_total, kEpsilonMax);
  policy.delta_total =
      section.Number("delta_total", policy.delta_total,
                     {.min = 0, .max = 1, .excludes_min = true, .excludes_max = true});
  policy.clip_norm_max = ReadLimit(section, "clip_norm_max", policy.clip_norm_max, kClipNormMax);
  section.Finish();
  return policy;
}

AgentConfig ReadSections(const YamlNode& root, ConfigDiagnostics& diagnostics) {
  SectionReader top(root, "", diagnostics);
  AgentConfig agent;
  top.Require({"version", "identity", "coordinator", "nodes"});
  agent.version = top.Integer("version", agent.version, {1, 1});
  if (top.Has("identity")) agent.identity = ReadIdentity(top.Section("identity"));
  if (top.Has("coordinator")) agent.coordinator = ReadCoordinator(top.Section("coordinator"));
  agent.nodes = ReadNodes(top, diagnostics);
  const std::string device = top.Text("device", agent.device);
  if (IsDevice(device)) {
    agent.device = device;
  } else {
    top.Refuse("device", fmt::format("must be cpu or cuda:N with N 0..{}, got {}", kCudaIndexMax,
                                     device.substr(0, 100)));
  }
  agent.resources = ReadResources(top.Section("resources"));
  agent.policy = ReadPolicy(top.Section("policy"));
  agent.ledger = top.OptionalText("ledger");
  top.Finish();
  return agent;
}

}  // namespace

AgentReading ReadAgent(std::string_view text, const std::string& source,
                       const std::vector<std::string>& overrides) {
  ConfigDiagnostics diagnostics(source);
  std::optional<YamlNode> root = ParseYaml(text, {source, 1}, diagnostics);
  if (!root.has_value()) return {std::nullopt, diagnostics.errors()};
  for (const std::string& override_text : overrides) {
    ApplyOverride(override_text, *root, diagnostics);
  }
  AgentConfig agent = ReadSections(*root, diagnostics);
  std::vector<ConfigError> errors = diagnostics.errors();
  if (!errors.empty()) return {std::nullopt, std::move(errors)};
  return {std::move(agent), {}};
}

absl::StatusOr<AgentConfig> ParseAgent(std::string_view text, const std::string& source,
                                       const std::vector<std::string>& overrides) {
  AgentReading reading = ReadAgent(text, source, overrides);
  SKERRY_RETURN_IF_ERROR(StatusFromErrors(reading.errors));
  return *std::move(reading.agent);
}

absl::StatusOr<AgentConfig> LoadAgent(const std::string& path,
                                      const std::vector<std::string>& overrides) {
  SKERRY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kYamlBytesMax));
  return ParseAgent(text, path, overrides);
}

}  // namespace skerry
