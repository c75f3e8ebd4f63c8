#include "common/ml/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "common/base/rng.h"
#include "common/base/status.h"

namespace skerry {
namespace {

using NodeOfRow = std::vector<uint32_t>;  // parallel to PartitionRequest::rows

// Where piece `index` of `count` ends, if `total` is cut so that sizes differ by at most one.
size_t CutEnd(size_t total, size_t count, size_t index) {
  return total / count * (index + 1) + std::min(index + 1, total % count);
}

NodeOfRow Iid(const PartitionRequest& request, Rng& rng) {
  std::vector<uint32_t> order(request.rows.size());
  std::iota(order.begin(), order.end(), 0u);
  rng.Shuffle(order);
  NodeOfRow node_of_row(order.size());
  size_t at = 0;
  for (uint32_t node = 0; node < request.node_count; ++node) {
    const size_t end = CutEnd(order.size(), request.node_count, node);
    for (; at < end; ++at) node_of_row[order[at]] = node;
  }
  return node_of_row;
}

// Positions of the rows by key: keys ascending, positions of one key ascending.
std::vector<std::vector<uint32_t>> PositionsByKey(const PartitionRequest& request) {
  std::vector<std::pair<uint32_t, uint32_t>> pairs;  // key, position
  for (uint32_t i = 0; i < request.rows.size(); ++i) {
    pairs.emplace_back(request.keys[request.rows[i]], i);
  }
  std::sort(pairs.begin(), pairs.end());
  std::vector<std::vector<uint32_t>> groups;
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (i == 0 || pairs[i].first != pairs[i - 1].first) groups.emplace_back();
    groups.back().push_back(pairs[i].second);
  }
  return groups;
}

// Dirichlet(alpha, ..., alpha): independent Gamma(alpha) divided by their sum.
std::vector<double> DrawShares(size_t count, double alpha, Rng& rng) {
  std::vector<double> shares(count);
  for (double& share : shares) share = rng.Gamma(alpha);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  if (sum > 0) {
    for (double& share : shares) share /= sum;
  } else {  // a tiny alpha underflows; its limit is everything on one node
    shares[rng.Below(count)] = 1.0;
  }
  return shares;
}

// Gives each node without rows one of the node with the most.
void FillEmptyNodes(NodeOfRow& node_of_row, size_t node_count) {
  std::vector<size_t> counts(node_count);
  for (const uint32_t node : node_of_row) ++counts[node];
  for (uint32_t empty = 0; empty < node_count; ++empty) {
    if (counts[empty] > 0) continue;
    const auto largest = std::max_element(counts.begin(), counts.end()) - counts.begin();
    const auto taken =
        std::find(node_of_row.rbegin(), node_of_row.rend(), static_cast<uint32_t>(largest));
    *taken = empty;
    --counts[static_cast<size_t>(largest)];
    ++counts[empty];
  }
}

NodeOfRow Dirichlet(const PartitionRequest& request, Rng& rng) {
  NodeOfRow node_of_row(request.rows.size());
  for (std::vector<uint32_t>& positions : PositionsByKey(request)) {
    const std::vector<double> shares = DrawShares(request.node_count, request.config.alpha, rng);
    rng.Shuffle(positions);
    double share_end = 0.0;
    size_t at = 0;
    for (uint32_t node = 0; node < request.node_count; ++node) {
      share_end += shares[node];
      const bool is_last = node + 1 == request.node_count;  // takes what rounding has left
      const auto end = is_last ? positions.size()
                               : std::min(positions.size(),
                                          static_cast<size_t>(std::round(
                                              share_end * static_cast<double>(positions.size()))));
      for (; at < end; ++at) node_of_row[positions[at]] = node;
    }
  }
  FillEmptyNodes(node_of_row, request.node_count);
  return node_of_row;
}

absl::StatusOr<NodeOfRow> Shards(const PartitionRequest& request, Rng& rng) {
  const auto per_node = static_cast<size_t>(request.config.shards_per_node);
  const size_t shard_count = request.node_count * per_node;
  if (shard_count > request.rows.size()) {
    return absl::InvalidArgumentError(
        fmt::format("data has {} rows, too few for {} nodes with {} shards each",
                    request.rows.size(), request.node_count, per_node));
  }
  std::vector<uint32_t> shards(shard_count);
  std::iota(shards.begin(), shards.end(), 0u);
  rng.Shuffle(shards);
  std::vector<uint32_t> node_of_shard(shard_count);
  for (size_t i = 0; i < shard_count; ++i) {
    node_of_shard[shards[i]] = static_cast<uint32_t>(i / per_node);
  }
  NodeOfRow node_of_row(request.rows.size());
  size_t at = 0;
  size_t shard = 0;
  for (const std::vector<uint32_t>& positions : PositionsByKey(request)) {
    for (const uint32_t position : positions) {
      if (at == CutEnd(request.rows.size(), shard_count, shard)) ++shard;
      node_of_row[position] = node_of_shard[shard];
      ++at;
    }
  }
  return node_of_row;
}

absl::StatusOr<NodeOfRow> ByColumn(const PartitionRequest& request) {
  const std::vector<std::vector<uint32_t>> groups = PositionsByKey(request);
  if (groups.size() != request.node_count) {
    return absl::InvalidArgumentError(
        fmt::format("column {} has {} distinct values but the job has {} nodes: set round.nodes "
                    "to {}",
                    request.config.column, groups.size(), request.node_count, groups.size()));
  }
  NodeOfRow node_of_row(request.rows.size());
  for (uint32_t node = 0; node < groups.size(); ++node) {
    for (const uint32_t position : groups[node]) node_of_row[position] = node;
  }
  return node_of_row;
}

absl::StatusOr<NodeOfRow> AssignNodes(const PartitionRequest& request) {
  Rng rng = Rng::Derive(request.seed, "partition");
  switch (request.config.scheme) {
    case PartitionScheme::kIid:
      return Iid(request, rng);
    case PartitionScheme::kDirichlet:
      return Dirichlet(request, rng);
    case PartitionScheme::kShards:
      return Shards(request, rng);
    case PartitionScheme::kColumn:
      return ByColumn(request);
  }
  return absl::InternalError("unknown partition scheme");
}

}  // namespace

Partition::Partition(std::vector<uint32_t> rows, std::vector<uint32_t> ends)
    : rows_(std::move(rows)), ends_(std::move(ends)) {
  SKERRY_ASSERT(std::is_sorted(ends_.begin(), ends_.end()));
  SKERRY_ASSERT(ends_.empty() ? rows_.empty() : ends_.back() == rows_.size());
}

std::span<const uint32_t> Partition::rows(size_t node_index) const {
  SKERRY_ASSERT(node_index < ends_.size());
  const size_t begin = node_index == 0 ? 0 : ends_[node_index - 1];
  return std::span(rows_).subspan(begin, ends_[node_index] - begin);
}

absl::StatusOr<Partition> MakePartition(const PartitionRequest& request) {
  SKERRY_ASSERT(request.node_count > 0);
  if (request.rows.size() < request.node_count) {
    return absl::InvalidArgumentError(
        fmt::format("data has {} rows, too few for {} nodes: each needs at least one",
                    request.rows.size(), request.node_count));
  }
  SKERRY_ASSIGN_OR_RETURN(const NodeOfRow node_of_row, AssignNodes(request));
  std::vector<uint32_t> ends(request.node_count);
  for (const uint32_t node : node_of_row) ++ends[node];
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  std::vector<uint32_t> next(request.node_count);
  std::copy(ends.begin(), ends.end() - 1, next.begin() + 1);
  std::vector<uint32_t> rows(request.rows.size());
  for (size_t i = 0; i < node_of_row.size(); ++i) rows[next[node_of_row[i]]++] = request.rows[i];
  return Partition(std::move(rows), std::move(ends));
}

std::vector<uint32_t> ChooseRows(size_t row_count, int64_t examples_max, uint64_t seed) {
  std::vector<uint32_t> rows(row_count);
  std::iota(rows.begin(), rows.end(), 0u);
  const auto wanted = static_cast<size_t>(examples_max);
  if (examples_max <= 0 || wanted >= row_count) return rows;
  Rng rng = Rng::Derive(seed, "examples");
  rng.Shuffle(rows);
  rows.resize(wanted);
  std::sort(rows.begin(), rows.end());
  return rows;
}

HeldOutSplit SplitHeldOut(std::span<const uint32_t> rows, double fraction, uint64_t seed) {
  if (rows.empty()) return {};
  const auto wanted = static_cast<size_t>(fraction * static_cast<double>(rows.size()));
  const size_t held_out_count = std::min(wanted, rows.size() - 1);
  std::vector<uint32_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0u);
  Rng rng = Rng::Derive(seed, "held_out");
  rng.Shuffle(order);
  std::vector<bool> is_held_out(rows.size());
  for (size_t i = 0; i < held_out_count; ++i) is_held_out[order[i]] = true;
  HeldOutSplit split;
  for (size_t i = 0; i < rows.size(); ++i) {
    (is_held_out[i] ? split.held_out : split.training).push_back(rows[i]);
  }
  return split;
}

}  // namespace skerry
