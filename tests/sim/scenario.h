// What one simulated run is made of. Drawn from a seed, or written down by a test.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/strong_id.h"
#include "common/config/job_config.h"
#include "common/transport/frame.h"
#include "skerry.pb.h"
#include "tests/support/loopback_network.h"

namespace skerry {

// kill -9 of one process at one of the places that it comes to in a run.
struct KillPoint {
  ProcessName process;  // empty: the coordinator
  size_t place = 0;
};

// The process has no link for a while.
struct Outage {
  ProcessName process;
  Instant from;
  Duration length{};
};

struct Scenario {
  uint64_t seed = 0;     // of the job: cohorts, optima, rounding bits
  uint64_t weather = 0;  // of everything else: delays, faults, who crashes when
  int node_count = 8;
  int process_count = 2;
  int64_t dimension = 8;  // parameters of the model
  RoundConfig round;
  SecAggConfig secagg;
  PrivacyConfig privacy;
  int64_t charges_max = 0;        // private: attempts that the coordinator's budget bears
  int64_t site_releases_max = 0;  // private: releases of one node that its site's budget bears
  size_t workers = 1;
  bool sends_models_inline = true;
  uint64_t inline_upload_bytes_max = 256 << 10;
  uint64_t upload_memory_bytes = 1 << 20;
  int64_t chunk_bytes = 16;
  uint64_t window_bytes = 40;

  Duration training_min = std::chrono::milliseconds(5);
  Duration training_max = std::chrono::milliseconds(400);
  double slow_probability = 0;     // a training takes a hundred times as long, showing progress
  std::set<NodeId> failing_nodes;  // their training gives NaN
  std::set<NodeId> dataless_nodes;

  NetworkFaults network;
  double agent_crash_probability = 0;        // at each message an agent gets
  double charge_crash_probability = 0;       // of an agent, before and after a charge is durable
  double coordinator_crash_probability = 0;  // at each boundary of an outbox
  int crash_count_max = 0;                   // of each process
  Duration down_max = std::chrono::seconds(5);
  std::map<ProcessName, uint64_t> slow_links{};  // bytes a second, each way
  std::vector<Outage> outages{};
  uint64_t slot_rate_min = 10;
  // Besides what strikes at random.
  std::vector<KillPoint> kills{};
  bool records_places = false;  // RunLog::places, for those who want to draw kill points

  // Whether the coordinator puts noise on sums itself.
  bool adds_noise() const {
    return privacy.enabled && (privacy.placement == NoisePlacement::kCoordinator ||
                               privacy.observer == PrivacyObserver::kPublic);
  }

  // Sees every message that reaches the coordinator.
  std::function<void(const proto::Envelope&, const Message&)> observe{};

  std::vector<NodeId> nodes() const {
    std::vector<NodeId> names;
    for (int i = 0; i < node_count; ++i) {
      const std::string number = std::to_string(i);
      names.emplace_back("n-" + std::string(4 - number.size(), '0') + number);
    }
    return names;
  }
  // Processes host equal, interleaved shares.
  ProcessName ProcessOf(int node_index) const {
    return ProcessName("p-" + std::to_string(node_index % process_count));
  }
};

// A mix of sizes, faults and limits that a run can survive.
Scenario DrawScenario(uint64_t seed);
// The same with secure aggregation.
Scenario DrawSecAggScenario(uint64_t seed);
// A private job, masked or not, with budgets that failed attempts may use up.
Scenario DrawPrivateScenario(uint64_t seed);
// And with so many nodes that masks go along a sparse graph.
Scenario DrawSparseScenario(uint64_t seed);

// The job that the scenario's coordinator and agents have in common.
JobConfig JobOf(const Scenario& scenario);

}  // namespace skerry
