// The rows of the nodes that this process hosts, ready to train on. Loaded once for a job, on a
// worker; immutable after that and shared by all workers. Each node sees its own rows only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "agent/session/session_inputs.h"
#include "common/base/strong_id.h"
#include "common/config/agent_config.h"
#include "common/config/job_config.h"
#include "common/ml/dataset.h"

namespace skerry {

// A node and where its rows come from: data of its own, or a place in the job's partition.
struct NodeSource {
  NodeId id;
  DataConfig own_data;  // used if partition_index is absent
  std::optional<uint32_t> partition_index;
};

// One node's rows. Views into the NodeData they came from.
struct NodeRows {
  SharedDataset dataset;
  std::span<const uint32_t> training;
  std::span<const uint32_t> held_out;  // empty unless the job evaluates on nodes
};

class NodeData {
 public:
  struct Loaded {
    std::shared_ptr<const NodeData> data;
    std::vector<DataProblem> problems;  // nodes that cannot take part, with the reason for the log
  };
  // Reads files and may take seconds. A problem with one node's data costs that node.
  static Loaded Load(const JobConfig& job, std::span<const NodeSource> nodes);

  // Empty dataset if the node had a problem.
  NodeRows rows(const NodeId& node) const;

 private:
  struct Entry {
    SharedDataset dataset;
    std::vector<uint32_t> training;
    std::vector<uint32_t> held_out;
  };
  absl::Status Add(const JobConfig& job, const NodeId& node, SharedDataset dataset,
                   std::span<const uint32_t> rows);
  static void LoadPartitioned(const JobConfig& job, std::span<const NodeSource> nodes,
                              NodeData& data, std::vector<DataProblem>& problems);
  static absl::Status LoadOwn(const JobConfig& job, const NodeSource& node, NodeData& data);

  absl::flat_hash_map<NodeId, Entry> entries_;
};

}  // namespace skerry
