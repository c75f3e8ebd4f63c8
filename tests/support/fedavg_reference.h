// FedAvg (McMahan et al. 2017, algorithm 1) in one process with torch::nn and torch::optim, without
// Skerry's trainer, encoding, transport or round: what a distributed run must agree with, within
// float tolerance and the encoding's resolution. Takes from Skerry only what the two must share:
// the partition, the initial weights and the order of batches.
//
// Every node takes part in every round, weighted by its number of examples, at most
// encoding.weight_cap; strategy fedavg or fedprox. Models with dropout have no reference.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"

namespace skerry {

// The global model after `round_count` rounds, flat in layout order. `node_ids[i]` owns the
// partition's part i; there are job.round.nodes of them.
absl::StatusOr<std::vector<float>> ReferenceFedAvg(const JobConfig& job,
                                                   const std::vector<std::string>& node_ids,
                                                   int64_t round_count);

}  // namespace skerry
