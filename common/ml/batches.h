// The order in which local training visits a node's rows: a function of (seed, epoch) alone, so
// that a reference implementation can follow it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace skerry {

// The seed of one node's training in one round; everything random in it follows from this. A
// further attempt at the round is another training: its update must not be that of the first.
uint64_t TrainingSeed(uint64_t job_seed, std::string_view node_id, uint64_t round,
                      uint32_t attempt = 1);

// `rows` shuffled for one local epoch (from 0); batches are consecutive runs of the result, the
// last one may be short. Draws from Rng::Derive(seed, "batches", epoch).
std::vector<uint32_t> EpochOrder(std::span<const uint32_t> rows, uint64_t seed, uint64_t epoch);

}  // namespace skerry
