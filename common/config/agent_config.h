// An agent process as its operator wrote it: who it is, whom it talks to, where its nodes' data
// lies, what it may use, and what it allows. Read from YAML by agent_loader.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/config/job_config.h"

namespace skerry {

// A node hosted by this process with its own data. `data.id` must equal the job's.
struct HostedNodeConfig {
  std::string id{};
  DataConfig data;  // partition is unused: all of the data belongs to the node
  int line = 0;
  bool operator==(const HostedNodeConfig&) const = default;
};

struct IdentityConfig {
  std::string process{};  // name in the roster
  std::string keys{};     // folder made by `skerry-coordinator keys new`
  // The site's own copy of the roster: secure aggregation is done with nodes named in it only.
  std::optional<std::string> roster{};
  std::optional<std::string> roster_sha256{};  // lower-case hexadecimal; what it must hash to
  bool operator==(const IdentityConfig&) const = default;
};

struct CoordinatorAddressConfig {
  std::string address{};                    // tcp://host:port or ipc://path
  std::optional<std::string> public_key{};  // CURVE, Z85, 40 characters; required on TCP
  bool operator==(const CoordinatorAddressConfig&) const = default;
};

struct ResourcesConfig {
  int64_t workers = 1;             // nodes trained at once
  int64_t threads_per_worker = 1;  // 1 keeps results reproducible
  int64_t upload_memory_mb = 256;  // finished uploads beyond this wait in an unlinked spool file
  std::string spool = "/tmp";
  bool operator==(const ResourcesConfig&) const = default;
};

// What this site allows, whatever the coordinator says. Secure by default.
struct SitePolicyConfig {
  bool allow_plain = false;  // jobs without secure aggregation
  int64_t cohort_min = 5;
  int64_t survivors_min = 3;  // updates in a sum that this site helps to open
  // Conspiring nodes that a job must bear; unset: DefaultColluders of the site's roster.
  std::optional<int64_t> colluders_min{};
  int64_t rounds_max = 10'000;
  int64_t local_epochs_max = 100;
  std::vector<ModelName> models{};  // empty: all
  bool require_privacy = false;     // refuse jobs without differential privacy
  // Jobs whose noise the coordinator adds: their privacy rests on its word.
  bool allow_coordinator_noise = false;
  // What one job may spend at its own delta, and all jobs on one data.id together at delta_total.
  std::optional<double> epsilon_max{};
  std::optional<double> epsilon_total = 10.0;  // unset: without limit
  double delta_total = 1e-5;
  std::optional<double> clip_norm_max{};
  bool operator==(const SitePolicyConfig&) const = default;
};

struct AgentConfig {
  int64_t version = 1;
  IdentityConfig identity;
  CoordinatorAddressConfig coordinator;
  std::vector<HostedNodeConfig> nodes{};
  std::string device = "cpu";  // or cuda:N
  ResourcesConfig resources;
  SitePolicyConfig policy;
  // File of what this site's data was used for; unset: privacy-ledger.jsonl in identity.keys, which
  // every process has of its own, wherever it is started.
  std::optional<std::string> ledger{};
  bool operator==(const AgentConfig&) const = default;
};

}  // namespace skerry
