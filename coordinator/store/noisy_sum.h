// The sum of a round with the coordinator's noise on it (privacy.placement coordinator), durable
// before anything is derived from it. A coordinator that is killed afterwards commits this sum of
// these survivors: noise drawn a second time over one sum would be a second release, which the
// budget was not charged for. The sum without noise is never written.
//
// state/noisy-sum-NNNNNN-A in the run directory, for round N and attempt A. May run on any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"

namespace skerry {

struct NoisySumKey {
  RoundId round;
  AttemptId attempt;
};

struct NoisySum {
  std::vector<NodeId> survivors;   // whose updates are in it, sorted
  std::vector<uint32_t> ring_sum;  // modulo 2^32
};

// Durable on return. Fails with kAlreadyExists if there is one: the first draw stays.
absl::Status WriteNoisySum(const std::string& run_dir, NoisySumKey key,
                           std::span<const NodeId> survivors, std::span<const uint32_t> ring_sum);

// None if there is none. Fails with kDataLoss unless the file holds `size` coordinates and a list
// of survivors.
absl::StatusOr<std::optional<NoisySum>> ReadNoisySum(const std::string& run_dir, NoisySumKey key,
                                                     size_t size);

// All of a run: their rounds are committed.
void RemoveNoisySums(const std::string& run_dir);

}  // namespace skerry
