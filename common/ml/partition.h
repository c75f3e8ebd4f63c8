// Which rows of a data set belong to which node. Pure functions of (labels, scheme, seed): every
// process computes the whole partition from the labels alone and keeps its own nodes' rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"

namespace skerry {

// The rows of each node, one after the other in one buffer: a thousand nodes cost no thousand
// allocations.
class Partition {
 public:
  Partition() = default;
  // Node i has rows[ends[i-1] .. ends[i]).
  Partition(std::vector<uint32_t> rows, std::vector<uint32_t> ends);

  size_t node_count() const { return ends_.size(); }
  std::span<const uint32_t> rows(size_t node_index) const;

 private:
  std::vector<uint32_t> rows_;
  std::vector<uint32_t> ends_;
};

struct PartitionRequest {
  // One a row: the class, or for targets and the column scheme a number with the same order.
  std::span<const uint32_t> keys;
  // The rows to divide, ascending; `keys` are indexed by them.
  std::span<const uint32_t> rows;
  size_t node_count = 1;
  PartitionConfig config;
  uint64_t seed = 0;
};

// Divides the rows over the nodes; every row goes to exactly one node and every node gets at least
// one. A node's rows are ascending. Draws from Rng::Derive(seed, "partition").
//   iid        shuffled and cut; sizes differ by at most one
//   dirichlet  for each key its share on each node is drawn from Dirichlet(alpha)
//              (Yurochkin et al. 2019; Hsu et al. 2019 draw the mix of each node instead)
//   shards     sorted by key, cut into node_count x per_node shards, dealt at random
//              (McMahan et al. 2017)
//   column     one node for each distinct key, in order
// Fails with kInvalidArgument if there are fewer rows (shards) than needed or, for column, the
// number of distinct keys is not node_count.
absl::StatusOr<Partition> MakePartition(const PartitionRequest& request);

// The first `examples_max` of a shuffle of 0 .. row_count - 1, ascending; all of them if
// examples_max is 0 or not below row_count.
std::vector<uint32_t> ChooseRows(size_t row_count, int64_t examples_max, uint64_t seed);

struct HeldOutSplit {
  std::vector<uint32_t> training;
  std::vector<uint32_t> held_out;
};
// Sets floor(fraction x rows) of a node's rows aside for evaluation, chosen by `seed`, and keeps
// the order of the rest. Training keeps at least one row.
HeldOutSplit SplitHeldOut(std::span<const uint32_t> rows, double fraction, uint64_t seed);

}  // namespace skerry
