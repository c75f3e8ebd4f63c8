#include "agent/training/node_data.h"

#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/ml/batches.h"
#include "common/ml/data_loader.h"
#include "common/ml/fixed_features.h"
#include "common/ml/partition.h"

namespace skerry {

NodeData::Loaded NodeData::Load(const JobConfig& job, std::span<const NodeSource> nodes) {
  auto data = std::make_shared<NodeData>();
  Loaded loaded;
  std::vector<NodeSource> partitioned;
  for (const NodeSource& node : nodes) {
    if (node.partition_index.has_value()) {
      partitioned.push_back(node);
      continue;
    }
    if (const absl::Status status = LoadOwn(job, node, *data); !status.ok()) {
      loaded.problems.push_back({node.id, std::string(status.message())});
    }
  }
  if (!partitioned.empty()) LoadPartitioned(job, partitioned, *data, loaded.problems);
  loaded.data = std::move(data);
  return loaded;
}

NodeRows NodeData::rows(const NodeId& node) const {
  const auto found = entries_.find(node);
  if (found == entries_.end()) return {};
  return {found->second.dataset, found->second.training, found->second.held_out};
}

absl::Status NodeData::LoadOwn(const JobConfig& job, const NodeSource& node, NodeData& data) {
  if (node.own_data.id != job.data.id) {
    return absl::InvalidArgumentError(fmt::format(
        "the job is about data \"{}\", this node has \"{}\"", job.data.id, node.own_data.id));
  }
  SKERRY_ASSIGN_OR_RETURN(const DataRequest request, DataRequestFor(job, node.own_data));
  SKERRY_ASSIGN_OR_RETURN(SharedDataset dataset, LoadTrainingSet(request));
  SKERRY_ASSIGN_OR_RETURN(dataset, WithFixedFeatures(job.model, std::move(dataset)));
  std::vector<uint32_t> rows(dataset->row_count());
  std::iota(rows.begin(), rows.end(), 0u);
  return data.Add(job, node.id, dataset, rows);
}

void NodeData::LoadPartitioned(const JobConfig& job, std::span<const NodeSource> nodes,
                               NodeData& data, std::vector<DataProblem>& problems) {
  std::vector<uint32_t> positions;
  for (const NodeSource& node : nodes) positions.push_back(*node.partition_index);
  const auto load = [&]() -> absl::StatusOr<HostedData> {
    SKERRY_ASSIGN_OR_RETURN(const DataRequest request, DataRequestFor(job, job.data));
    SKERRY_ASSIGN_OR_RETURN(
        HostedData hosted,
        LoadHostedNodes(request, static_cast<size_t>(job.round.nodes), positions));
    SKERRY_ASSIGN_OR_RETURN(hosted.dataset,
                            WithFixedFeatures(job.model, std::move(hosted.dataset)));
    return hosted;
  };
  const absl::StatusOr<HostedData> hosted = load();
  for (size_t i = 0; i < nodes.size(); ++i) {
    const absl::Status status =
        hosted.ok() ? data.Add(job, nodes[i].id, hosted->dataset, hosted->rows.rows(i))
                    : hosted.status();
    if (!status.ok()) problems.push_back({nodes[i].id, std::string(status.message())});
  }
}

absl::Status NodeData::Add(const JobConfig& job, const NodeId& node, SharedDataset dataset,
                           std::span<const uint32_t> rows) {
  if (rows.empty()) return absl::InvalidArgumentError("the node has no rows to train on");
  Entry entry{std::move(dataset), {}, {}};
  if (job.evaluation.on_nodes) {
    // Round 0 is no round, so the split shares no random numbers with any training.
    HeldOutSplit split =
        SplitHeldOut(rows, job.evaluation.held_out, TrainingSeed(job.seed, node.value(), 0));
    entry.training = std::move(split.training);
    entry.held_out = std::move(split.held_out);
  } else {
    entry.training.assign(rows.begin(), rows.end());
  }
  entries_.emplace(node, std::move(entry));
  return absl::OkStatus();
}

}  // namespace skerry
