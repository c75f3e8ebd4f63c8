#include "common/ml/batches.h"

#include <fmt/format.h>

#include "common/base/rng.h"

namespace skerry {

uint64_t TrainingSeed(uint64_t job_seed, std::string_view node_id, uint64_t round,
                      uint32_t attempt) {
  const uint64_t first =
      Rng::Derive(job_seed, fmt::format("training {}", node_id), round).NextU64();
  return attempt <= 1 ? first : Rng::Derive(first, "attempt", attempt).NextU64();
}

std::vector<uint32_t> EpochOrder(std::span<const uint32_t> rows, uint64_t seed, uint64_t epoch) {
  std::vector<uint32_t> order(rows.begin(), rows.end());
  Rng rng = Rng::Derive(seed, "batches", epoch);
  rng.Shuffle(order);
  return order;
}

}  // namespace skerry
